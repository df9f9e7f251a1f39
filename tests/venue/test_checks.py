"""Every reason for which a request is refused, and that nothing changes when it is."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from orderd.venue.accounts import Configuration
from orderd.venue.orders import OrderClass, OrderType, PositionIntent, Reason, Refused, Side, TimeInForce
from tests.venue.desk import Desk, d

LIMIT = {"type": OrderType.LIMIT}
SELL = {"side": Side.SELL}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"symbol": "FACEBOOK"}, Reason.UNKNOWN_ASSET),
        ({"symbol": "RGC"}, Reason.NOT_TRADABLE),
        ({"symbol": "OCGN", "quantity": d("0.5")}, Reason.NOT_FRACTIONABLE),
        ({"symbol": "OCGN", "notional": d(5), "quantity": None}, Reason.NOT_FRACTIONABLE),
        ({"symbol": "OCGN", **SELL}, Reason.NOT_SHORTABLE),
        ({"quantity": d("0.5"), **SELL}, Reason.FRACTIONAL_SHORT),
        ({"quantity": d(0)}, Reason.INVALID),
        ({"quantity": d(-1)}, Reason.INVALID),
        ({"notional": d("0.5"), "quantity": None}, Reason.INVALID),
        ({"notional": d(5), "quantity": None, "limit_price": d(1), **LIMIT}, Reason.INVALID),
        ({"quantity": d("0.5"), "time_in_force": TimeInForce.GTC}, Reason.INVALID),
        ({"quantity": d("0.5"), "type": OrderType.TRAILING_STOP, "trail_price": d(1)}, Reason.INVALID),
        ({"client_order_id": "x" * 129}, Reason.CLIENT_ORDER_ID_TOO_LONG),
        (LIMIT, Reason.INVALID),
        ({"limit_price": d(100)}, Reason.INVALID),
        ({"type": OrderType.STOP}, Reason.INVALID),
        ({"stop_price": d(100)}, Reason.INVALID),
        ({"type": OrderType.TRAILING_STOP}, Reason.INVALID),
        ({"type": OrderType.TRAILING_STOP, "trail_price": d(1), "trail_percent": d(1)}, Reason.INVALID),
        ({"trail_price": d(1)}, Reason.INVALID),
        ({"limit_price": d("41.085"), **LIMIT}, Reason.SUB_PENNY),
        ({"limit_price": d("0.00005"), **LIMIT}, Reason.SUB_PENNY),
        ({"limit_price": d(0), **LIMIT}, Reason.INVALID),
        ({"type": OrderType.STOP, "stop_price": d(189)}, Reason.STOP_PRICE),
        ({"extended_hours": True}, Reason.INVALID),
        ({"extended_hours": True, "limit_price": d(1), "time_in_force": TimeInForce.IOC, **LIMIT}, Reason.INVALID),
        ({"time_in_force": TimeInForce.IOC, "type": OrderType.STOP, "stop_price": d(200)}, Reason.INVALID),
        ({"quantity": d(3000)}, Reason.INSUFFICIENT_BUYING_POWER),
        ({"quantity": d(3000), **SELL}, Reason.INSUFFICIENT_BUYING_POWER),
        ({"symbol": "BTC/USD", "time_in_force": TimeInForce.DAY}, Reason.INVALID),
        (
            {"symbol": "BTC/USD", "type": OrderType.STOP, "stop_price": d(70000), "time_in_force": TimeInForce.GTC},
            Reason.INVALID,
        ),
        (
            {"symbol": "BTC/USD", "quantity": d("0.0001"), "time_in_force": TimeInForce.GTC},
            Reason.MINIMUM_COST,
        ),
        (
            {"symbol": "BTC/USD", "quantity": d(2), "time_in_force": TimeInForce.GTC},
            Reason.INSUFFICIENT_BUYING_POWER,
        ),
        ({"symbol": "BTC/USD", "time_in_force": TimeInForce.GTC, **SELL}, Reason.INSUFFICIENT_QUANTITY),
        ({"symbol": "AAPL261120C00190000", "time_in_force": TimeInForce.GTC}, Reason.INVALID),
        ({"symbol": "AAPL261120C00190000", "type": OrderType.STOP, "stop_price": d(1)}, Reason.INVALID),
        ({"symbol": "AAPL261120C00190000", **SELL}, Reason.COVERED_CALL),
        ({"symbol": "AAPL261120C00190000", "quantity": d("0.5")}, Reason.NOT_FRACTIONABLE),
        ({"symbol": "AAPL261120P00190000", "quantity": d(10), **SELL}, Reason.INSUFFICIENT_BUYING_POWER),
        (
            {"symbol": "AAPL261120C00190000", "position_intent": PositionIntent.SELL_TO_CLOSE, **SELL},
            Reason.INSUFFICIENT_QUANTITY,
        ),
    ],
)
def test_refused_and_nothing_changed(fields: dict[str, Any], reason: Reason) -> None:
    desk = Desk()
    assert desk.refused(**fields).reason is reason
    desk.go()
    assert desk.events == []
    assert desk.venue.state.book.of_account(desk.account.account_id) == []


def test_a_client_id_is_used_once_for_ever() -> None:
    desk = Desk()
    first = desk.submit(client_order_id="mine")
    desk.go()
    assert desk.refused(client_order_id="mine").reason is Reason.CLIENT_ORDER_ID_TAKEN
    desk.cancel(first)
    desk.venue.expire_day()
    assert desk.refused(client_order_id="mine", symbol="FACEBOOK").reason is Reason.CLIENT_ORDER_ID_TAKEN


def test_a_refused_request_does_not_use_its_client_id() -> None:
    desk = Desk()
    desk.refused(client_order_id="mine", quantity=d(3000))
    assert desk.submit(client_order_id="mine").client_order_id == "mine"


def test_client_ids_are_each_account_s_own() -> None:
    desk = Desk()
    desk.submit(client_order_id="mine")
    desk.account = desk.venue.open_account()
    assert desk.submit(client_order_id="mine")


def test_a_sell_needs_free_shares() -> None:
    desk = Desk()
    desk.bought("10")
    desk.limit("200", side=Side.SELL, quantity=d(7))
    refused = desk.refused(side=Side.SELL, quantity=d(4))
    assert refused.reason is Reason.INSUFFICIENT_QUANTITY
    assert refused.details == {
        "requested": "4",
        "available": "3",
        "existing_qty": "10",
        "held_for_orders": "7",
        "symbol": "AAPL",
    }
    assert len(refused.related) == 1
    assert desk.submit(side=Side.SELL, quantity=d(3))


def test_open_buys_use_buying_power_and_give_it_back_when_they_end() -> None:
    desk = Desk()
    order = desk.limit("189", quantity=d(2000))
    assert desk.refused(quantity=d(200)).reason is Reason.INSUFFICIENT_BUYING_POWER
    desk.cancel(order)
    desk.go()
    assert desk.submit(quantity=d(200))


def test_a_short_sale_costs_three_percent_more_than_the_ask() -> None:
    desk = Desk()
    assert desk.refused(side=Side.SELL, quantity=d(2050)).details["cost_basis"] == "401206.12"
    order = desk.submit(side=Side.SELL, quantity=d(10))
    desk.go()
    assert order.position_intent is PositionIntent.SELL_TO_OPEN
    assert desk.account.held("AAPL") == -10


def test_a_short_position_is_bought_back_but_not_turned() -> None:
    desk = Desk()
    desk.submit(side=Side.SELL, quantity=d(10))
    desk.go()
    assert desk.refused(quantity=d(11)).reason is Reason.INSUFFICIENT_QUANTITY
    assert desk.submit(quantity=d(10)).position_intent is PositionIntent.BUY_TO_CLOSE


# --- wash trades ----------------------------------------------------------------------------------------

MARKET = {"type": OrderType.MARKET}
STOP = {"type": OrderType.STOP}


def _resting(desk: Desk, kind: str) -> None:
    """An own sell order on the book, over a long position."""
    desk.bought("10")
    desk.venue.set_auto_fill(is_on=False)
    fields: dict[str, Any] = {
        "market": {},
        "stop": {"type": OrderType.STOP, "stop_price": d(180)},
        "stop_limit": {"type": OrderType.STOP_LIMIT, "stop_price": d(180), "limit_price": d(179)},
        "limit": {"type": OrderType.LIMIT, "limit_price": d(195)},
        "trailing": {"type": OrderType.TRAILING_STOP, "trail_price": d(5)},
    }[kind]
    desk.submit(side=Side.SELL, **fields)
    desk.go()


@pytest.mark.parametrize(
    ("resting", "new", "word"),
    [
        ("market", MARKET, "opposite side market/stop order exists"),
        ("stop", MARKET, "opposite side market/stop order exists"),
        ("stop_limit", MARKET, "opposite side market/stop order exists"),
        ("limit", MARKET, "opposite side limit order exists"),
        ("trailing", MARKET, ""),
        ("market", {"type": OrderType.LIMIT, "limit_price": d(1)}, "opposite side market/stop order exists"),
        ("stop", {"type": OrderType.LIMIT, "limit_price": d(1)}, "opposite side market/stop order exists"),
        ("limit", {"type": OrderType.LIMIT, "limit_price": d("194.99")}, ""),
        ("limit", {"type": OrderType.LIMIT, "limit_price": d(195)}, "opposite side limit order exists"),
        ("trailing", {"type": OrderType.LIMIT, "limit_price": d(300)}, ""),
        ("limit", {**STOP, "stop_price": d(200)}, "opposite side limit order exists"),
        ("market", {"type": OrderType.TRAILING_STOP, "trail_price": d(5)}, ""),
        (
            "stop",
            {"order_class": OrderClass.BRACKET, "take_profit_limit": d(200), "stop_loss_stop": d(180)},
            "",
        ),
    ],
)
def test_the_wash_trade_table(resting: str, new: dict[str, Any], word: str) -> None:
    desk = Desk()
    _resting(desk, resting)
    answer = desk.ask(**new)
    if not word:
        assert not isinstance(answer, Refused), answer
        return
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.details["reject_reason"]) == (Reason.WASH_TRADE, word)
    assert answer.details["existing_order_id"]


def test_other_accounts_and_other_symbols_do_not_wash() -> None:
    desk = Desk()
    _resting(desk, "market")
    assert desk.submit(symbol="MSFT")
    desk.account = desk.venue.open_account()
    assert desk.submit()


def test_no_opening_order_against_an_opening_order_of_the_other_side() -> None:
    desk = Desk()
    desk.limit("250", side=Side.SELL)
    assert desk.refused(type=OrderType.LIMIT, limit_price=d(100)).reason is Reason.OPPOSITE_OPEN


# --- the account's own settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "fields", "reason"),
    [
        ({"suspend_trade": True}, {}, Reason.ACCOUNT_BLOCKED),
        ({"no_shorting": True}, SELL, Reason.SHORTING_OFF),
        ({"fractional_trading": False}, {"quantity": d("0.5")}, Reason.NOT_FRACTIONABLE),
        ({"max_margin_multiplier": "1"}, {"quantity": d(600)}, Reason.INSUFFICIENT_BUYING_POWER),
    ],
)
def test_the_owner_s_settings_are_kept(setting: dict[str, Any], fields: dict[str, Any], reason: Reason) -> None:
    desk = Desk()
    desk.account.configuration = msgspec.structs.replace(Configuration(), **setting)
    assert desk.refused(**fields).reason is reason


@pytest.mark.parametrize(
    ("kind", "hour", "is_taken"),
    [
        (TimeInForce.OPG, 13, True),
        (TimeInForce.OPG, 15, False),
        (TimeInForce.OPG, 23, True),
        (TimeInForce.CLS, 15, True),
        (TimeInForce.CLS, 20, False),
    ],
)
def test_auction_orders_have_their_hours(kind: TimeInForce, hour: int, is_taken: bool) -> None:
    desk = Desk(now=datetime(2026, 10, 8, hour, 0, tzinfo=UTC))
    answer = desk.ask(time_in_force=kind)
    assert (not isinstance(answer, Refused)) is is_taken
