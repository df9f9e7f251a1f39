"""Lists and their pages: orders, activities, positions, contracts; and lenient reading of queries and bodies."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orderd.venue.orders import Status
from orderd.venue.state import Settings
from tests.venue.desk import Counter, Json


def resting(counter: Counter, count: int, **fields: object) -> list[str]:
    """That many orders, 10 ms apart, oldest first."""
    ids: list[str] = []
    for _ in range(count):
        ids.append(counter.buy(type="limit", limit_price="1", **fields)["id"])
        counter.go(ms=10)
    return ids


def listed(counter: Counter, **query: str) -> list[str]:
    return [row["id"] for row in counter.json("GET", "/orders", query=query)]


def test_newest_first_and_fifty_unless_asked() -> None:
    counter = Counter()
    ids = resting(counter, 60)
    assert listed(counter) == ids[::-1][:50]
    assert listed(counter, direction="asc", limit="500") == ids


def test_statuses() -> None:
    counter = Counter()
    ids = resting(counter, 3)
    counter.venue.end(ids[1], Status.CANCELED)
    assert listed(counter) == [ids[2], ids[0]]
    assert listed(counter, status="closed") == [ids[1]]
    assert listed(counter, status="all") == ids[::-1]


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("status", ["all", "open"])
def test_paging_by_id_meets_every_order_once(direction: str, status: str) -> None:
    counter = Counter()
    ids = resting(counter, 17)
    edge = "after_order_id" if direction == "asc" else "before_order_id"
    seen: list[str] = []
    query: dict[str, str] = {}
    while page := listed(counter, limit="5", direction=direction, status=status, **query):
        seen += page
        query = {edge: page[-1]}
    assert seen == (ids if direction == "asc" else ids[::-1])


def test_times_are_exclusive_and_of_the_moved_submission() -> None:
    counter = Counter()
    ids = resting(counter, 3)
    moment = counter.venue.find(ids[1]).submitted_at
    assert listed(counter, after=moment.isoformat()) == [ids[2]]
    assert listed(counter, until=moment.isoformat()) == [ids[0]]
    later = (moment - timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")
    assert listed(counter, after=later) == ids[:0:-1]
    assert listed(counter, until="2026-10-08") == []


def test_filters() -> None:
    counter = Counter()
    ids = [
        counter.buy(type="limit", limit_price="1")["id"],
        counter.buy(symbol="MSFT", type="limit", limit_price="999", side="sell")["id"],
        counter.buy(symbol="BTC/USD", type="limit", limit_price="1000", time_in_force="gtc")["id"],
    ]
    assert listed(counter, symbols="KO,MSFT") == [ids[1], ids[0]]
    assert listed(counter, symbols="BTCUSD") == listed(counter, symbols="BTC/USD") == [ids[2]]
    assert listed(counter, side="sell") == [ids[1]]
    assert listed(counter, asset_class="crypto") == [ids[2]]
    assert listed(counter, asset_class="us_equity,crypto") == ids[::-1]


def bracket(counter: Counter) -> Json:
    order = counter.buy(order_class="bracket", take_profit={"limit_price": "99"}, stop_loss={"stop_price": "70"})
    counter.go()
    return order


@pytest.mark.parametrize("true", ["true", "True", "TRUE", "1", "t"])
def test_nested_lists_show_legs_inside_their_parent_only(true: str) -> None:
    counter = Counter()
    order = bracket(counter)
    legs = [leg["id"] for leg in order["legs"]]
    assert listed(counter, status="all") == [legs[1], legs[0], order["id"]]
    assert listed(counter) == [legs[1], legs[0]]
    (row,) = counter.json("GET", "/orders", query={"nested": true})
    assert (row["id"], row["status"]) == (order["id"], "filled")
    assert [leg["status"] for leg in row["legs"]] == ["new", "held"]
    assert counter.json("GET", "/orders", query={"nested": true, "status": "closed"}) == []


def test_one_order_shows_its_legs_when_asked() -> None:
    counter = Counter()
    order = bracket(counter)
    path = f"/orders/{order['id']}"
    assert counter.json("GET", path)["legs"] is None
    assert len(counter.json("GET", path, query={"nested": "True"})["legs"]) == 2
    by_name = {"client_order_id": order["client_order_id"], "nested": "true"}
    assert len(counter.json("GET", "/orders:by_client_order_id", query=by_name)["legs"]) == 2


def test_a_client_id_finds_what_was_submitted_with_it_not_the_successor() -> None:
    counter = Counter()
    old = counter.buy(type="limit", limit_price="1", client_order_id="mine and theirs/50%")
    counter.go()
    counter.json("PATCH", f"/orders/{old['id']}", {"limit_price": "2"})
    counter.go()
    found = counter.json("GET", "/orders:by_client_order_id", query={"client_order_id": "mine and theirs/50%"})
    assert (found["id"], found["status"]) == (old["id"], "replaced")


def test_cancelling_all_takes_a_group_once() -> None:
    counter = Counter()
    order = bracket(counter)
    entries = counter.json("DELETE", "/orders", status=207)
    assert [entry["status"] for entry in entries] == [200]
    assert entries[0]["body"]["id"] == order["id"]
    assert entries[0]["id"] == order["legs"][0]["id"]
    counter.go()
    assert counter.json("DELETE", "/orders", status=207) == []


# --- activities -----------------------------------------------------------------------------------------


def fills(counter: Counter, count: int) -> None:
    for _ in range(count):
        counter.buy()
        counter.go()


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_activities_page_by_the_last_id(direction: str) -> None:
    counter = Counter()
    fills(counter, 12)
    seen: list[str] = []
    query = {"page_size": "5", "direction": direction}
    while page := counter.json("GET", "/account/activities/FILL", query=query):
        seen += [row["id"] for row in page]
        query["page_token"] = page[-1]["id"]
    assert len(seen) == len(set(seen)) == 12
    times = [each.split("::")[0] for each in seen]
    assert times == sorted(times, reverse=direction == "desc")


def test_activities_by_order_type_category_and_time() -> None:
    counter = Counter()
    fills(counter, 3)
    rows = counter.json("GET", "/account/activities")
    assert len(rows) == 3
    one = counter.json("GET", "/account/activities", query={"order_id": rows[0]["order_id"]})
    assert one == rows[:1]
    assert counter.json("GET", "/account/activities", query={"category": "non_trade_activity"}) == []
    assert counter.json("GET", "/account/activities", query={"activity_types": "FILL,DIV"}) == rows
    assert counter.json("GET", "/account/activities", query={"after": rows[1]["transaction_time"]}) == rows[:1]
    assert counter.json("GET", "/account/activities", query={"until": rows[1]["transaction_time"]}) == rows[2:]
    assert counter.json("GET", "/account/activities", query={"date": "2026-10-08"}) == rows
    assert counter.json("GET", "/account/activities", query={"date": "2026-10-09T00:00:00Z"}) == []


def test_a_busted_trade_has_no_row_and_a_corrected_one_has_the_new() -> None:
    counter = Counter()
    fills(counter, 2)
    first, second = list(counter.venue.ledger.executions)
    counter.venue.bust(first)
    counter.venue.correct(second, Decimal(3), Decimal(85))
    (row,) = counter.json("GET", "/account/activities/FILL")
    assert (row["qty"], row["price"]) == ("3", "85")
    assert not row["id"].endswith(second)


def test_fees_are_rows_of_their_own() -> None:
    counter = Counter(settings=Settings(partial_rate=Decimal(0), has_fees=True))
    fills(counter, 1)
    counter.buy(side="sell")
    counter.go()
    counter.venue.expire_day()
    (row,) = counter.json("GET", "/account/activities/FEE")
    assert (row["activity_type"], row["net_amount"], row["date"]) == ("FEE", "-0.01", "2026-10-08")
    every = counter.json("GET", "/account/activities")
    assert [each["activity_type"] for each in every] == ["FEE", "FILL", "FILL"]
    token = {"page_token": row["id"]}
    assert counter.json("GET", "/account/activities", query=token) == every[1:]


# --- positions ------------------------------------------------------------------------------------------


def test_a_position_is_found_by_symbol_and_by_asset_id_and_closes_in_parts() -> None:
    counter = Counter()
    counter.buy(qty="10")
    counter.go()
    position = counter.json("GET", "/positions/KO")
    assert counter.json("GET", f"/positions/{position['asset_id']}") == position
    assert counter.json("DELETE", "/positions/KO", query={"qty": "3"})["qty"] == "3"
    assert counter.json("DELETE", "/positions/KO", query={"percentage": "10"})["qty"] == "1"
    assert counter.json("GET", "/positions/KO")["qty_available"] == "6"
    counter.go()
    order = counter.json("DELETE", "/positions/KO")
    assert (order["qty"], order["side"], order["type"]) == ("6", "sell", "market")
    counter.go()
    assert counter.json("GET", "/positions") == []


def test_a_coin_s_position_has_no_slash_and_is_found_either_way() -> None:
    counter = Counter()
    counter.buy(symbol="BTC/USD", qty="0.1", time_in_force="gtc")
    counter.go()
    position = counter.json("GET", "/positions/BTCUSD")
    assert position["symbol"] == "BTCUSD"
    assert counter.json("GET", "/positions/BTC%2FUSD") == position
    assert counter.json("DELETE", "/positions/BTCUSD")["time_in_force"] == "gtc"


def test_closing_all_names_what_could_not_be_closed() -> None:
    counter = Counter()
    counter.buy(qty="4")
    counter.buy(symbol="MSFT", side="sell", qty="2")
    counter.go()
    held = counter.buy(side="sell", qty="4", type="limit", limit_price="99")
    counter.go()
    refused, closed = counter.json("DELETE", "/positions", status=207)
    assert (refused["symbol"], refused["status"]) == ("KO", 403)
    assert refused["body"]["related_orders"] == [held["id"]]
    assert (closed["symbol"], closed["status"], closed["body"]["side"]) == ("MSFT", 200, "buy")


def test_closing_all_with_the_orders_lists_the_orders_by_their_id_first() -> None:
    counter = Counter()
    counter.buy(qty="4")
    counter.go()
    held = counter.buy(side="sell", qty="4", type="limit", limit_price="99")
    counter.go()
    order, position = counter.json("DELETE", "/positions", query={"cancel_orders": "TRUE"}, status=207)
    assert (order["symbol"], position["symbol"]) == (held["id"], "KO")
    counter.go()
    assert counter.json("GET", "/positions") == []


# --- leniency -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"qty": 1.5},
        {"qty": "1.5", "notional": None},
        {"qty": 1.5, "notional": "", "limit_price": None, "stop_price": "", "order_class": ""},
        {"qty": "1.50", "extended_hours": "false", "client_order_id": ""},
        {"qty": "15e-1", "take_profit": None, "stop_loss": {}, "legs": None, "order_class": "simple"},
        {"qty": "1.5", "advanced_instructions": {"algorithm": "DMA"}, "position_intent": "buy_to_open"},
    ],
)
def test_numbers_strings_null_and_empty_are_read_alike(fields: dict[str, Any]) -> None:
    counter = Counter()
    body = {"symbol": "KO", "side": "buy", "type": "market", "time_in_force": "day", **fields}
    assert counter.json("POST", "/orders", body)["qty"] == "1.5"


def test_an_asset_id_is_as_good_as_a_symbol() -> None:
    counter = Counter()
    asset_id = counter.json("GET", "/assets/KO")["id"]
    order = counter.buy(symbol=asset_id)
    assert (order["symbol"], order["asset_id"]) == ("KO", asset_id)


def test_a_price_keeps_every_digit_that_was_sent() -> None:
    counter = Counter()
    raw = b'{"symbol":"BTC/USD","side":"buy","type":"limit","time_in_force":"gtc","qty":1,"limit_price":1234.123456789}'
    reply = counter.call("POST", "/orders", raw)
    assert b'"limit_price":"1234.123456789"' in reply.body


def test_settings_can_be_changed_and_retired_ones_are_ignored() -> None:
    counter = Counter()
    answer = counter.json("PATCH", "/account/configurations", {"no_shorting": True, "pdt_check": "entry"})
    assert answer["no_shorting"] is True
    assert counter.json("GET", "/account")["shorting_enabled"] is False


def test_contracts_page_and_filter() -> None:
    counter = Counter()
    base = {"underlying_symbols": "AAPL", "type": "call", "expiration_date": "2026-10-09"}
    first = counter.json("GET", "/options/contracts", query={**base, "limit": "6"})
    second = counter.json("GET", "/options/contracts", query={**base, "page_token": first["next_page_token"]})
    symbols = [row["symbol"] for row in first["option_contracts"] + second["option_contracts"]]
    assert len(set(symbols)) == 11
    assert second["next_page_token"] is None
    assert counter.json("GET", f"/options/contracts/{symbols[0]}")["symbol"] == symbols[0]
    assert counter.json("GET", "/options/contracts/AAPL", status=404)["message"]
    strikes = counter.json("GET", "/options/contracts", query={**base, "strike_price_gte": "200"})
    assert {row["strike_price"] for row in strikes["option_contracts"]} == {"200", "205", "210", "215"}


def test_assets_are_listed_by_class_and_exchange() -> None:
    counter = Counter()
    shares = {row["symbol"] for row in counter.json("GET", "/assets")}
    assert "AAPL" in shares
    assert "BTC/USD" not in shares
    coins = counter.json("GET", "/assets", query={"asset_class": "crypto"})
    assert {row["symbol"] for row in coins} == {"BTC/USD", "ETH/USD"}
    assert {row["exchange"] for row in counter.json("GET", "/assets", query={"exchange": "NYSE"})} == {"NYSE"}
    assert counter.json("GET", "/assets", query={"status": "inactive"}) == []


def test_portfolio_history_follows_equity() -> None:
    counter = Counter()
    history = counter.json("GET", "/account/portfolio/history")
    assert history["equity"] == [100000.0, 100000.0]
