"""Error answers equal the recorded bodies, whatever the numbers in them."""

import json
import re
from typing import Any

import pytest

from orderd.venue.alpaca.face import Options
from tests.venue.desk import Counter, sample

UNKNOWN = "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415"
ORDER = {"symbol": "KO", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


def shaped(body: dict[str, Any]) -> dict[str, Any]:
    """Numbers and ids made equal; words, keys and codes left."""
    return {
        name: "#"
        if name == "symbol"
        else re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[\d.]*\d|<elided at the source>", "#", value)
        if isinstance(value, str)
        else value
        for name, value in body.items()
    }


def is_recorded(name: str, body: dict[str, Any]) -> bool:
    theirs = sample(name)
    body = {key: value for key, value in body.items() if key in theirs or key != "related_orders"}
    return shaped(body) == shaped(theirs)


@pytest.mark.parametrize(
    ("name", "status", "fields"),
    [
        ("error_422_asset_not_found.json", 422, {"symbol": "FACEBOOK"}),
        ("error_2026_403_not_fractionable.json", 403, {"symbol": "OCGN", "qty": "0.5"}),
        ("error_403_insufficient_buying_power.json", 403, {"qty": "1000000"}),
        ("error_422_sub_penny.json", 422, {"type": "limit", "limit_price": "41.085"}),
        ("error_422_stop_price.json", 422, {"side": "sell", "type": "stop", "stop_price": "87"}),
        ("error_2026_403_insufficient_qty.json", 403, {"symbol": "MSFT", "side": "sell", "qty": "3"}),
        ("error_403_wash_trade.json", 403, {}),
        ("error_403_crypto_min_cost.json", 403, {"symbol": "BTC/USD", "qty": "0.0001", "time_in_force": "gtc"}),
        ("error_403_covered_call_qty.json", 403, {"symbol": "AAPL261120C00190000", "side": "sell"}),
    ],
)
def test_refusals_of_an_order(name: str, status: int, fields: dict[str, Any]) -> None:
    counter = Counter()
    counter.buy(symbol="MSFT")
    counter.buy(qty="2")
    counter.go()
    if "wash" in name:
        counter.buy(side="sell", type="stop", stop_price="80")
    body = counter.json("POST", "/orders", ORDER | fields, status=status)
    assert is_recorded(name, body), body


def test_a_duplicate_client_order_id() -> None:
    counter = Counter()
    counter.buy(client_order_id="mine")
    body = counter.json("POST", "/orders", ORDER | {"client_order_id": "mine"}, status=422)
    assert body == sample("error_2026_422_duplicate_client_order_id.json")


def test_the_opposite_side() -> None:
    counter = Counter()
    counter.buy(side="sell", type="limit", limit_price="99")
    body = counter.json("POST", "/orders", ORDER | {"type": "limit", "limit_price": "1"}, status=403)
    assert body == sample("error_403_opposite_side.json")


@pytest.mark.parametrize(
    ("name", "method", "path", "status"),
    [
        ("error_404_order_not_found.json", "GET", f"/orders/{UNKNOWN}", 404),
        ("error_404_order_not_found.json", "DELETE", f"/orders/{UNKNOWN}", 404),
        ("error_404_order_not_found.json", "PATCH", f"/orders/{UNKNOWN}", 404),
        ("error_422_malformed_order_id.json", "GET", "/orders/nonsense", 422),
        ("error_422_malformed_order_id.json", "DELETE", "/orders/nonsense", 422),
        ("error_404_position.json", "GET", "/positions/AAPL", 404),
        ("error_404_position.json", "DELETE", "/positions/AAPL", 404),
        ("error_404_asset.json", "GET", "/assets/FFFFF", 404),
        ("error_422_activity_type.json", "GET", "/account/activities/FFFFF", 422),
    ],
)
def test_things_that_are_not_there(name: str, method: str, path: str, status: int) -> None:
    assert Counter().json(method, path, {"qty": "1"}, status=status) == sample(name)


def test_an_unknown_client_order_id() -> None:
    body = Counter().json("GET", "/orders:by_client_order_id", query={"client_order_id": UNKNOWN}, status=404)
    assert body == sample("error_404_client_order_id_not_found.json")


def test_cancel_of_a_filled_order() -> None:
    counter = Counter()
    order = counter.buy()
    counter.go()
    body = counter.json("DELETE", f"/orders/{order['id']}", status=422)
    assert body == sample("error_422_cancel_filled.json")


def test_replace_of_an_order_that_is_not_sent_yet() -> None:
    counter = Counter()
    order = counter.buy(type="limit", limit_price="1")
    body = counter.json("PATCH", f"/orders/{order['id']}", {"qty": "2"}, status=422)
    assert body == sample("error_422_replace_not_sent_yet.json")


def test_wrong_keys_and_no_keys() -> None:
    counter = Counter()
    counter.headers = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "wrong"}
    assert counter.json("GET", "/account", status=401) == sample("error_401_access_key.json")
    counter.headers = {}
    assert counter.json("GET", "/account", status=401) == sample("error_401_unauthorized_no_code.json")


def test_the_rate_limit() -> None:
    counter = Counter(options=Options(requests_per_minute=3))
    replies = [counter.call("GET", "/clock") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert json.loads(replies[-1].body) == sample("error_429_rate_limit.json")
    assert [reply.headers["X-Ratelimit-Remaining"] for reply in replies] == ["2", "1", "0", "0"]
    assert {reply.headers["X-Ratelimit-Limit"] for reply in replies} == {"3"}
    counter.go(ms=60_000)
    assert counter.call("GET", "/clock").status == 200


def test_the_reset_header_is_the_end_of_the_minute() -> None:
    counter = Counter()
    reset = int(counter.call("GET", "/clock").headers["X-Ratelimit-Reset"])
    assert 0 < reset - counter.now.timestamp() <= 60


def test_no_rate_limit_when_switched_off() -> None:
    counter = Counter(options=Options(requests_per_minute=0))
    assert {counter.call("GET", "/clock").status for _ in range(500)} == {200}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"nonsense",
        b'"x"',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_bodies_that_are_no_object(body: bytes) -> None:
    reply = Counter().call("POST", "/orders", body)
    assert reply.status == 400
    assert json.loads(reply.body)["code"] == 40010000


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"symbol": None}, "symbol is required"),
        ({"symbol": 7}, "symbol"),
        ({"side": None}, "side is required"),
        ({"side": "hold"}, "side"),
        ({"type": None}, "type is required"),
        ({"type": "guess"}, "type"),
        ({"time_in_force": None}, "time_in_force is required"),
        ({"time_in_force": "soon"}, "time_in_force"),
        ({"qty": None}, "qty or notional"),
        ({"notional": "5"}, "only one of"),
        ({"qty": "many"}, "qty"),
        ({"qty": True}, "qty"),
        ({"qty": "NaN"}, "qty"),
        ({"qty": "Infinity"}, "qty"),
        ({"qty": ["1"]}, "qty"),
        ({"qty": "0.1234567891"}, "qty"),
        ({"limit_price": {}}, "limit_price"),
        ({"extended_hours": "perhaps"}, "extended_hours"),
        ({"order_class": "heap"}, "order_class"),
        ({"client_order_id": 5}, "client_order_id"),
        ({"take_profit": "90"}, "take_profit"),
        ({"order_class": "mleg"}, "legs"),
        ({"order_class": "mleg", "legs": ["x"]}, "legs"),
        ({"order_class": "mleg", "legs": [{"symbol": "X", "side": "buy"}]}, "ratio_qty"),
        ({"order_class": "mleg", "legs": [{"symbol": "X", "ratio_qty": 1}]}, "side is required"),
        ({"position_intent": "maybe"}, "position_intent"),
    ],
)
def test_fields_that_cannot_be_read(fields: dict[str, Any], word: str) -> None:
    asked = {name: value for name, value in (ORDER | fields).items() if value is not None}
    body = Counter().json("POST", "/orders", asked, status=422)
    assert word in body["message"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/orders", {"status": "lost"}),
        ("/orders", {"limit": "0"}),
        ("/orders", {"limit": "501"}),
        ("/orders", {"limit": "ten"}),
        ("/orders", {"nested": "perhaps"}),
        ("/orders", {"after": "yesterday"}),
        ("/orders", {"before_order_id": "nonsense"}),
        ("/orders", {"before_order_id": UNKNOWN, "after_order_id": UNKNOWN}),
        ("/orders", {"after_order_id": UNKNOWN, "until": "2026-10-08"}),
        ("/account/activities", {"page_size": "101"}),
        ("/account/activities", {"page_token": "nobody"}),
        ("/account/activities", {"activity_types": "FILL", "category": "trade_activity"}),
        ("/account/activities", {"date": "someday"}),
        ("/calendar", {"start": "someday"}),
        ("/options/contracts", {"strike_price_gte": "low"}),
    ],
)
def test_queries_that_cannot_be_read(path: str, query: dict[str, str]) -> None:
    assert Counter().json("GET", path, query=query, status=422)["message"]


@pytest.mark.parametrize(
    ("query", "status"), [({"qty": "1", "percentage": "5"}, 422), ({"percentage": "101"}, 422), ({"qty": "9"}, 403)]
)
def test_closing_a_position_in_impossible_parts(query: dict[str, str], status: int) -> None:
    counter = Counter()
    counter.buy(qty="2")
    counter.go()
    assert counter.json("DELETE", "/positions/KO", query=query, status=status)["message"]


def test_unknown_pages_and_methods() -> None:
    counter = Counter()
    assert counter.call("GET", "/nowhere").status == 404
    assert counter.call("PUT", "/orders").status == 405
    assert counter.call("GET", "/orders/a/b").status == 404


def test_a_setting_that_makes_no_sense_changes_nothing() -> None:
    counter = Counter()
    before = counter.json("GET", "/account/configurations")
    assert counter.json("PATCH", "/account/configurations", {"no_shorting": "perhaps"}, status=422)["message"]
    assert counter.json("GET", "/account/configurations") == before
