"""What is said of instruments, and what a test may change of it."""

from typing import Any

import pytest

from orderd.venue.orders import OrderType, Reason, Refused, Side, Status
from tests.venue.desk import Counter, Desk, d
from tests.venue.wire import Wire

SELL = {"side": Side.SELL}


@pytest.mark.parametrize(
    ("changes", "fields", "reason"),
    [
        ({"is_tradable": False}, {}, Reason.NOT_TRADABLE),
        ({"is_active": False}, {}, Reason.NOT_TRADABLE),
        ({"is_shortable": False}, SELL, Reason.NOT_SHORTABLE),
        ({"is_fractionable": False}, {"quantity": d("0.5")}, Reason.NOT_FRACTIONABLE),
        (
            {"splits_outside_session": False},
            {"quantity": d("0.5"), "type": OrderType.LIMIT, "limit_price": d(1), "extended_hours": True},
            Reason.INVALID,
        ),
    ],
)
def test_an_instrument_is_changed_and_changed_back(
    changes: dict[str, bool], fields: dict[str, Any], reason: Reason
) -> None:
    desk = Desk()
    before = desk.venue.state.assets.find("AAPL")
    desk.venue.change_asset("AAPL", **changes)
    answer = desk.ask(**fields)
    assert isinstance(answer, Refused)
    assert answer.reason is reason
    assert desk.venue.change_asset("AAPL", **dict.fromkeys(changes, True)) == before
    desk.submit()


def test_a_halted_instrument_takes_orders_and_executes_none() -> None:
    desk = Desk()
    desk.venue.change_asset("AAPL", is_halted=True)
    entry = desk.submit()
    stop = desk.submit(symbol="KO", type=OrderType.STOP, stop_price=d(80), **SELL)
    desk.venue.change_asset("KO", is_halted=True)
    desk.venue.set_quote("KO", d(70), d(71))
    desk.go(ms=60_000)
    assert [desk.venue.find(each.order_id).status for each in (entry, stop)] == [Status.NEW, Status.NEW]
    for symbol in ("AAPL", "KO"):
        desk.venue.change_asset(symbol, is_halted=False)
    desk.go(ms=60_000)
    assert [desk.venue.find(each.order_id).status for each in (entry, stop)] == [Status.FILLED, Status.FILLED]


def test_what_is_said_of_it() -> None:
    counter = Counter()
    counter.venue.change_asset("KO", is_active=False, quantity_step="0.01", minimum_quantity="5")
    shown = counter.json("GET", "/assets/KO")
    assert (shown["status"], shown["tradable"], shown["shortable"]) == ("inactive", False, True)
    assert (shown["min_trade_increment"], shown["min_order_size"]) == ("0.01", "5")
    assert [row["symbol"] for row in counter.json("GET", "/assets", query={"status": "inactive"})] == ["KO"]
    assert "KO" not in {row["symbol"] for row in counter.json("GET", "/assets", query={"status": "active"})}
    counter.venue.change_asset("BTC/USD", quantity_step="0.5")
    coin = counter.json("GET", "/assets/BTCUSD")
    assert (coin["min_trade_increment"], coin["price_increment"]) == ("0.5", "0.000000001")


async def test_the_control_interface_changes_them(wire: Wire) -> None:
    changed = await wire.control("POST", "assets", {"symbol": "KO", "is_shortable": False, "quantity_step": "0.1"})
    assert (changed["is_shortable"], changed["is_tradable"], changed["quantity_step"]) == (False, True, "0.1")
    assert (await wire.json("GET", "/assets/KO"))["shortable"] is False
    rows = {row["symbol"]: row for row in await wire.control("GET", "assets")}
    assert rows["KO"] == changed
    for body, status in (
        ({"symbol": "NOSUCH", "is_tradable": False}, 404),
        ({"is_tradable": False}, 422),
        ({"symbol": "KO", "is_tradable": "perhaps"}, 422),
        ({"symbol": "KO", "quantity_step": "-1"}, 422),
        ({"symbol": "KO", "quantity_step": "NaN"}, 422),
        ({"symbol": "KO", "minimum_quantity": 0}, 422),
        ({"symbol": "KO", "colour": "red"}, 422),
    ):
        assert (await wire.control("POST", "assets", body, status=status))["error"]
