"""The control interface: everything a test may see and do from another process."""

import pytest

from tests.venue.wire import Ear, Wire, until, wired


async def test_quotes_are_set_one_or_many_and_shown(wire: Wire) -> None:
    await wire.control("POST", "quotes", {"symbol": "KO", "bid": 90, "ask": "90.02"})
    await wire.control(
        "POST", "quotes", [{"symbol": "F", "bid": 1, "ask": 2}, {"symbol": "AAPL", "bid": 3, "ask": 4, "last": 3}]
    )
    shown = {quote["symbol"]: quote for quote in await wire.control("GET", "quotes")}
    assert (shown["KO"]["bid"], shown["KO"]["last"]) == ("90", "90.01")
    assert (shown["F"]["last"], shown["AAPL"]["last"]) == ("1.5", "3")


async def test_a_quote_moves_the_book_at_once(wire: Wire, ear: Ear) -> None:
    order = await wire.buy(type="limit", limit_price="80")
    await wire.settled(order["id"], "new")
    await wire.control("POST", "quotes", {"symbol": "KO", "bid": "79", "ask": "79.5"})
    assert await ear.events(3) == ["pending_new", "new", "fill"]


async def test_orders_are_seen_and_filled_by_either_name(wire: Wire) -> None:
    order = await wire.buy(type="limit", limit_price="1", qty="10", client_order_id="mine")
    await wire.settled(order["id"], "new")
    assert (await wire.control("GET", "orders/mine"))["order_id"] == order["id"]
    filled = await wire.control("POST", "orders/mine/fill", {"quantity": "2.5", "price": 1})
    assert (filled["status"], filled["filled_quantity"]) == ("partially_filled", "2.5")
    await wire.control("POST", f"orders/{order['id']}/fill")
    assert (await wire.control("GET", "orders", query={"client_order_id": "mine"}))[0]["status"] == "filled"
    executions = await wire.control("GET", "executions")
    assert [each["quantity"] for each in executions] == ["2.5", "7.5"]
    assert (await wire.control("POST", "orders/mine/fill", status=422))["error"]
    assert (await wire.control("POST", "orders/mine/fill", {"quantity": "1", "price": "1"}))["status"] == "filled"


async def test_orders_are_ended_marked_and_replaced(wire: Wire, ear: Ear) -> None:
    order = await wire.buy(type="limit", limit_price="1")
    await wire.settled(order["id"], "new")
    await wire.control("POST", f"orders/{order['id']}/mark", {"status": "done_for_day", "event": "done_for_day"})
    successor = await wire.control("POST", f"orders/{order['id']}/replace", {"limit_price": "2"})
    await wire.settled(successor["order_id"], "new")
    await wire.control("POST", f"orders/{successor['order_id']}/end", {"status": "expired"})
    assert await ear.events(6) == ["pending_new", "new", "done_for_day", "replaced", "new", "expired"]
    refused = await wire.control("POST", f"orders/{order['id']}/replace", {"limit_price": "3"}, status=422)
    assert refused["reason"] == "not_open"


async def test_the_day_is_expired(wire: Wire) -> None:
    order = await wire.buy(type="limit", limit_price="1")
    await wire.control("POST", "day/expire")
    assert (await wire.settled(order["id"], "expired"))["expired_at"]


async def test_settings_change_what_happens_next(wire: Wire) -> None:
    answer = await wire.control(
        "POST", "settings", {"is_auto_fill": False, "route_delay_ms": 0, "partial_rate": "0.5", "connection_limit": 4}
    )
    assert answer["settings"]["partial_rate"] == "0.5"
    assert answer["options"]["connection_limit"] == 4
    order = await wire.buy()
    await wire.settled(order["id"], "new")
    await wire.control("POST", "settings", {"is_auto_fill": True})
    await wire.settled(order["id"], "filled")


async def test_orders_vanish_and_accounts_are_reset(wire: Wire, ear: Ear) -> None:
    await wire.settled((await wire.buy())["id"], "filled")
    order = await wire.buy(type="limit", limit_price="1")
    await wire.settled(order["id"], "new")
    assert await ear.events(5) == ["pending_new", "new", "fill", "pending_new", "new"]
    assert await wire.control("POST", "accounts/venue-key/vanish") == {"orders": 2}
    assert (await wire.send("GET", f"/orders/{order['id']}"))[0] == 404
    assert await wire.json("GET", "/orders", status="all") == []
    assert len(await wire.json("GET", "/positions")) == 1
    before = await wire.json("GET", "/account")
    fresh = await wire.control("POST", "accounts/venue-key/reset", {"cash": "5000"})
    after = await wire.json("GET", "/account")
    assert (after["account_number"], after["cash"]) == (fresh["number"], "5000")
    assert before["account_number"] != after["account_number"]
    assert await wire.json("GET", "/positions") == []
    assert len(await wire.control("GET", "accounts")) == 1
    await wire.buy()
    assert await ear.events(3) == ["pending_new", "new", "fill"]


async def test_the_ledger_and_its_digest(wire: Wire) -> None:
    order = await wire.buy(client_order_id="mine")
    await wire.settled(order["id"], "filled")
    ledger = await wire.control("GET", "ledger")
    assert [row["order_id"] for row in ledger["orders"]] == [order["id"]]
    assert [row["client_order_id"] for row in ledger["executions"]] == ["mine"]
    assert len(ledger["digest"]) == 64
    posts = await wire.control("GET", "received", query={"method": "POST"})
    assert [(row["path"], row["client_order_id"]) for row in posts] == [("/v2/orders", "mine")]
    assert await wire.control("GET", "received", query={"after": "999"}) == []


async def test_the_clock(wire: Wire) -> None:
    assert (await wire.control("GET", "clock"))["now"].endswith("Z")


async def test_barriers_close_again(wire: Wire) -> None:
    await wire.control("POST", "barriers/gate/release")
    await wire.arm("land_late", status=504, barrier="gate")
    assert (await wire.send("GET", "/clock"))[0] == 504
    await wire.control("POST", "barriers/gate/close")
    await wire.arm("delay_frame", barrier="gate", times=0)
    assert await wire.control("GET", "barriers") == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nowhere", None, 404),
        ("PUT", "quotes", {}, 405),
        ("POST", "quotes", {"symbol": "NOBODY", "bid": 1, "ask": 2}, 404),
        ("POST", "quotes", {"symbol": "KO", "bid": "x", "ask": 2}, 422),
        ("POST", "quotes", {"symbol": "KO", "bid": 1}, 422),
        ("POST", "quotes", "KO", 422),
        ("POST", "settings", {"unknown": 1}, 422),
        ("POST", "settings", {"partial_rate": "often"}, 422),
        ("GET", "orders/nobody", None, 404),
        ("POST", "orders/nobody/fill", {}, 404),
        ("POST", "orders/nobody/end", {"status": "napping"}, 422),
        ("POST", "orders/nobody/mark", {}, 422),
        ("POST", "executions/nobody/bust", None, 404),
        ("POST", "executions/nobody/correct", {"quantity": 1}, 422),
        ("POST", "accounts", {"key_id": "x"}, 422),
        ("POST", "accounts/nobody/reset", {}, 404),
        ("POST", "accounts/nobody/holdings", [], 404),
        ("POST", "accounts/venue-key/holdings", [{"symbol": "KO", "quantity": "0"}], 422),
        ("POST", "accounts/venue-key/holdings", [{"symbol": "NOBODY", "quantity": "1"}], 404),
        ("POST", "accounts/venue-key/holdings", {}, 422),
        ("POST", "accounts/nobody/vanish", None, 404),
        ("DELETE", "faults/x", None, 404),
        ("GET", "received?after=x", None, 422),
        ("POST", "connections/kick", {"code": "x"}, 422),
    ],
)
async def test_what_makes_no_sense_is_refused(wire: Wire, method: str, path: str, body: object, status: int) -> None:
    assert (await wire.control(method, path, body, status=status))["error"]


async def test_a_second_venue_shares_nothing(wire: Wire) -> None:
    async with wired() as other:
        await other.buy(client_order_id="mine")
        await wire.buy(client_order_id="mine")
        await until(lambda: len(wire.venue.ledger.executions) == 1)
        assert len(await other.control("GET", "accounts")) == 1
