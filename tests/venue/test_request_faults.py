"""Every fault of a request, over a real socket: what the client sees, and what the venue really did."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from orderd.venue.exchange import Reply
from tests.venue.wire import KEYS, Ear, Wire, order_body, until

BROKEN = (aiohttp.ClientError, ConnectionError)


async def found(wire: Wire, name: str) -> int:
    """HTTP status of a lookup by client id."""
    status, _ = await wire.send("GET", "/orders:by_client_order_id", query={"client_order_id": name})
    return status


async def test_the_answer_is_lost_after_the_order_was_taken(wire: Wire) -> None:
    await wire.arm("lose_answer", method="POST", path="/v2/orders")
    with pytest.raises(BROKEN):
        await wire.buy(client_order_id="mine")
    assert await found(wire, "mine") == 200
    assert (await wire.buy())["id"]


async def test_the_request_is_lost_before_it_was_taken(wire: Wire) -> None:
    await wire.arm("lose_request", method="POST")
    with pytest.raises(BROKEN):
        await wire.buy(client_order_id="mine")
    assert await found(wire, "mine") == 404
    assert (await wire.buy(client_order_id="mine"))["client_order_id"] == "mine"


async def test_the_answer_is_held_until_the_barrier_is_released(wire: Wire) -> None:
    await wire.arm("hold_answer", method="POST", barrier="gate")
    sending = asyncio.create_task(wire.buy(client_order_id="mine"))
    await until(lambda: bool(wire.venue.faults.barriers.waiting()))
    assert await found(wire, "mine") == 200
    assert not sending.done()
    assert await wire.control("GET", "barriers") == {"gate": 1}
    assert await wire.control("POST", "barriers/gate/release") == {"released": 1}
    assert (await sending)["client_order_id"] == "mine"


async def test_the_answer_is_held_for_a_while(wire: Wire) -> None:
    await wire.arm("hold_answer", delay_ms=30)
    before = asyncio.get_running_loop().time()
    await wire.buy()
    assert asyncio.get_running_loop().time() - before >= 0.03


async def test_the_request_lands_after_the_answer_said_504(wire: Wire) -> None:
    await wire.arm("land_late", method="POST", status=504, barrier="gate")
    assert (await wire.send("POST", "/orders", order_body(client_order_id="mine")))[0] == 504
    assert await found(wire, "mine") == 404
    await wire.control("POST", "barriers/gate/release")
    assert await found(wire, "mine") == 200


async def test_the_request_lands_late_and_nobody_ever_answers(wire: Wire) -> None:
    await wire.arm("land_late", method="POST", status=0, delay_ms=20)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await wire.buy(client_order_id="mine")
    await until(lambda: "mine" in {order.client_order_id for order in wire.venue.ledger.orders.values()})


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", ["json", "html", "empty"])
@pytest.mark.parametrize("is_accepted", [True, False])
async def test_an_error_is_answered_whether_or_not_the_order_was_taken(
    wire: Wire, status: int, body: str, is_accepted: bool
) -> None:
    await wire.arm("answer_status", method="POST", status=status, body=body, is_accepted=is_accepted)
    got, text = await wire.send("POST", "/orders", order_body(client_order_id="mine"))
    assert got == status
    if body == "json":
        assert json.loads(text)["message"]
    else:
        assert text == "" if body == "empty" else text.startswith("<html>")
    assert await found(wire, "mine") == (200 if is_accepted else 404)


async def test_a_rate_limit_that_was_scripted_reads_like_the_real_one(wire: Wire) -> None:
    await wire.arm("answer_status", status=429, is_accepted=False)
    _, text = await wire.send("GET", "/account")
    assert json.loads(text) == {"code": 42910000, "message": "rate limit exceeded"}


async def raw_answer(wire: Wire, request: bytes) -> bytes:
    """Everything that comes back before the connection ends."""
    reader, writer = await asyncio.open_connection(*wire.server.address)
    writer.write(request)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_the_answer_is_cut_at_any_byte(wire: Wire) -> None:
    wanted = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
    request = f"GET /v2/clock HTTP/1.1\r\nHost: x\r\n{wanted}\r\n".encode()
    await wire.arm("cut_answer", at_byte=100_000)
    whole = await raw_answer(wire, request)
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(whole.partition(b"\r\n\r\n")[2])["is_open"] is True
    for at in (1, 12, whole.index(b"\r\n\r\n"), whole.index(b"\r\n\r\n") + 4, len(whole) - 5):
        await wire.arm("cut_answer", at_byte=at)
        assert len(await raw_answer(wire, request)) == at


async def test_a_cut_order_was_taken_all_the_same(wire: Wire) -> None:
    await wire.arm("cut_answer", method="POST", at_byte=400)
    with pytest.raises(BROKEN):
        await wire.buy(client_order_id="mine")
    assert await found(wire, "mine") == 200


@pytest.mark.parametrize(
    "lie",
    [
        {"symbol": "AAPL"},
        {"side": "sell"},
        {"qty": "7"},
        {"client_order_id": "another"},
        {"type": "limit"},
        {"limit_price": "3.5"},
    ],
)
async def test_the_echo_lies_and_the_order_does_not(wire: Wire, lie: dict[str, str]) -> None:
    await wire.arm("lie", method="POST", fields=lie)
    echo = await wire.buy(client_order_id="mine")
    assert {name: echo[name] for name in lie} == lie
    assert echo["order_type"] == echo["type"]
    truth = await wire.json("GET", f"/orders/{echo['id']}")
    assert all(truth[name] != value for name, value in lie.items())


async def test_an_unknown_status_is_answered(wire: Wire) -> None:
    await wire.arm("unknown_status", method="GET", path="/v2/orders", times=0, word="napping")
    order = await wire.buy()
    assert (await wire.json("GET", f"/orders/{order['id']}"))["status"] == "napping"
    rows = await wire.json("GET", "/orders", status="all")
    assert [row["status"] for row in rows] == ["napping"]


async def test_a_page_may_skip_a_row_or_repeat_one(wire: Wire) -> None:
    ids = [(await wire.buy(type="limit", limit_price="1"))["id"] for _ in range(6)][::-1]

    async def page(**query: str) -> list[str]:
        return [row["id"] for row in await wire.json("GET", "/orders", limit="2", **query)]

    assert await page(before_order_id=ids[1]) == ids[2:4]
    await wire.arm("page_shift", path="/v2/orders", shift=1)
    assert await page(before_order_id=ids[1]) == ids[3:5]
    await wire.arm("page_shift", path="/v2/orders", shift=-1)
    assert await page(before_order_id=ids[1]) == ids[1:3]


async def test_an_activity_page_may_skip_a_row(wire: Wire) -> None:
    for _ in range(3):
        await wire.settled((await wire.buy())["id"], "filled")
    rows = await wire.json("GET", "/account/activities/FILL")
    await wire.arm("page_shift", path="/v2/account/activities")
    assert await wire.json("GET", "/account/activities/FILL") == rows[1:]


# --- what the order does afterwards -------------------------------------------------------------------


async def test_an_order_is_rejected_after_it_was_taken(wire: Wire, ear: Ear) -> None:
    await wire.arm("reject", method="POST")
    order = await wire.buy(type="limit", limit_price="1")
    assert order["status"] == "pending_new"
    order = await wire.settled(order["id"], "rejected")
    assert order["failed_at"]
    assert await ear.events(3) == ["pending_new", "new", "rejected"]


async def test_partial_then_cancel(wire: Wire, ear: Ear) -> None:
    await wire.arm("partial_then_cancel", quantity="3")
    order = await wire.buy(type="limit", limit_price="1", qty="10")
    order = await wire.settled(order["id"], "canceled")
    assert order["filled_qty"] == "3"
    assert await ear.events(4) == ["pending_new", "new", "partial_fill", "canceled"]


async def test_partial_then_cancel_takes_half_when_no_quantity_is_given(wire: Wire) -> None:
    await wire.arm("partial_then_cancel", times=2)
    whole, coin = (
        await wire.buy(type="limit", limit_price="1", qty="9"),
        await wire.buy(symbol="BTC/USD", type="limit", limit_price="1000", qty="0.25", time_in_force="gtc"),
    )
    assert (await wire.settled(whole["id"], "canceled"))["filled_qty"] == "4"
    assert (await wire.settled(coin["id"], "canceled"))["filled_qty"] == "0.125"


async def test_a_fault_whose_order_is_gone_does_nothing(wire: Wire) -> None:
    await wire.control("POST", "settings", {"route_delay_ms": 5000})
    for kind in ("reject", "partial_then_cancel", "overfill"):
        await wire.arm(kind, method="POST")
    await wire.buy()
    await wire.control("POST", "accounts/venue-key/vanish")
    told = len(wire.venue.ledger.events)
    wire.venue.advance(wire.venue.now + timedelta(seconds=10))
    assert len(wire.venue.ledger.events) == told
    assert wire.venue.ledger.executions == {}


async def test_a_fill_crosses_the_cancel(wire: Wire, ear: Ear) -> None:
    order = await wire.buy(type="limit", limit_price="1", qty="10")
    await wire.settled(order["id"], "new")
    await wire.arm("fill_crosses_cancel", order=order["client_order_id"])
    assert (await wire.send("DELETE", f"/orders/{order['id']}"))[0] == 204
    await wire.settled(order["id"], "filled")
    assert await ear.events(4) == ["pending_new", "new", "fill", "order_cancel_rejected"]


async def test_a_part_fill_crosses_the_cancel_which_then_succeeds(wire: Wire, ear: Ear) -> None:
    order = await wire.buy(type="limit", limit_price="1", qty="10")
    await wire.settled(order["id"], "new")
    await wire.arm("fill_crosses_cancel", quantity="4")
    await wire.send("DELETE", f"/orders/{order['id']}")
    assert (await wire.settled(order["id"], "canceled"))["filled_qty"] == "4"
    assert await ear.events(4) == ["pending_new", "new", "partial_fill", "canceled"]


async def test_a_fill_crosses_the_replace(wire: Wire, ear: Ear) -> None:
    order = await wire.buy(type="limit", limit_price="1", qty="10")
    await wire.settled(order["id"], "new")
    await wire.arm("fill_crosses_replace", path=f"/v2/orders/{order['id']}")
    successor = await wire.json("PATCH", f"/orders/{order['id']}", {"limit_price": "2"})
    assert (await wire.settled(successor["id"], "rejected"))["replaces"] == order["id"]
    assert await ear.events(5) == ["pending_new", "new", "fill", "order_replace_rejected", "rejected"]


async def test_an_overfill(wire: Wire, ear: Ear) -> None:
    await wire.arm("overfill", symbol="KO", quantity="2")
    order = await wire.buy(qty="5")
    await until(lambda: wire.venue.find(order["id"]).filled_quantity == 7)
    frames = [await ear.hear() for _ in range(4)]
    assert [frame["data"]["order"]["filled_qty"] for frame in frames] == ["0", "0", "5", "7"]
    assert (await wire.json("GET", "/positions/KO"))["qty"] == "7"


# --- how faults are chosen ----------------------------------------------------------------------------


async def test_a_fault_happens_so_many_times(wire: Wire) -> None:
    await wire.arm("answer_status", times=2, status=500)
    assert [(await wire.send("GET", "/clock"))[0] for _ in range(4)] == [500, 500, 200, 200]
    fired = await wire.control("GET", "faults/fired")
    assert [(each["kind"], each["path"]) for each in fired] == [("answer_status", "/v2/clock")] * 2


async def test_a_fault_may_let_the_first_ones_pass(wire: Wire) -> None:
    await wire.arm("answer_status", skip=2, status=500)
    assert [(await wire.send("GET", "/clock"))[0] for _ in range(4)] == [200, 200, 500, 200]


async def test_a_fault_without_limit_lasts_until_it_is_cleared(wire: Wire) -> None:
    fault = await wire.arm("answer_status", times=0, status=500)
    assert {(await wire.send("GET", "/clock"))[0] for _ in range(5)} == {500}
    assert [each["fault_id"] for each in await wire.control("GET", "faults")] == [fault]
    assert await wire.control("DELETE", f"faults/{fault}") == {"cleared": 1}
    assert (await wire.send("GET", "/clock"))[0] == 200
    assert await wire.control("DELETE", "faults") == {"cleared": 0}


async def test_a_fault_by_probability_is_seeded(wire: Wire) -> None:
    await wire.arm("answer_status", times=0, probability=0.5, status=500)
    statuses = [(await wire.send("GET", "/clock"))[0] for _ in range(60)]
    assert 15 <= statuses.count(500) <= 45


@pytest.mark.parametrize(
    "selector",
    [
        {"method": "DELETE"},
        {"path": "/v2/positions"},
        {"symbol": "AAPL"},
        {"order": "another"},
    ],
)
async def test_a_selector_that_does_not_match_leaves_the_request_alone(wire: Wire, selector: dict[str, Any]) -> None:
    await wire.arm("answer_status", status=500, **selector)
    assert (await wire.buy(client_order_id="mine"))["status"] == "pending_new"


@pytest.mark.parametrize(
    "selector",
    [{"method": "post"}, {"path": "/v2/ord"}, {"symbol": "KO"}, {"order": "mine"}, {"order": "mine", "symbol": "KO"}],
)
async def test_a_selector_that_matches(wire: Wire, selector: dict[str, Any]) -> None:
    await wire.arm("answer_status", status=500, **selector)
    assert (await wire.send("POST", "/orders", order_body(client_order_id="mine")))[0] == 500


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "earthquake"},
        {"kind": "lie", "fields": "x"},
        {"kind": "lie", "times": -1},
        {"kind": "lie", "probability": 0},
        {"kind": "lie", "probability": 1.5},
        {"kind": "lie", "unknown": 1},
        {"kind": "cut_answer", "at_byte": "far"},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(wire: Wire, fault: dict[str, Any]) -> None:
    assert (await wire.control("POST", "faults", fault, status=422))["error"]
    assert await wire.control("GET", "faults") == []


async def test_the_ledger_says_what_really_happened(wire: Wire) -> None:
    await wire.arm("answer_status", method="POST", status=502)
    await wire.send("POST", "/orders", order_body(client_order_id="mine"))
    await wire.send("POST", "/orders", order_body(client_order_id="mine"))
    rows = await wire.control("GET", "received", query={"client_order_id": "mine"})
    assert [(row["verdict"], row["status"], row["faults"]) for row in rows] == [
        ("accepted", 200, ["answer_status"]),
        ("refused", 422, []),
    ]


def test_a_reply_knows_its_bytes() -> None:
    reply = Reply(status=200, headers={"A": "b"}, body=b"{}")
    assert reply.wire() == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
