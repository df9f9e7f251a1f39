"""A replace is in place: one order, a chain of broker ids, terms that change only on proof."""

import asyncio

import grpc
import pytest

from oms.v1 import order_pb2 as opb
from tests.e2e.audit import audit
from tests.e2e.errors import reason_of
from tests.e2e.harness import House, state_of
from tests.e2e.test_cancels import resting

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def limit(house: House, name: str, quantity: str = "10", **fields: object) -> opb.Order:
    """A resting limit order to buy KO at 80."""
    return await resting(house, name, quantity, **({"limit_price": "80"} | fields))


async def refused(house: House, order_id: str, **fields: object) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await house.replace(order_id, **fields)
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION, error.value
    return reason_of(error.value)


async def test_new_terms_are_in_force_when_the_broker_has_proven_them(house: House) -> None:
    order = await limit(house, "r-plain")
    replaced = await house.replace(order.order_id, quantity="12", limit_price="81.5")
    assert (replaced.order_id, replaced.client_order_id) == (order.order_id, "r-plain")
    assert (replaced.quantity, replaced.limit_price, replaced.pending_replace) == ("12", "81.5", False)
    assert len(replaced.broker_order_ids) == 2
    assert replaced.broker_order_ids[0] == order.broker_order_id
    await house.until(order.order_id, "ACCEPTED")
    successor = await house.venue.order(replaced.broker_order_id)
    assert (successor["quantity"], successor["limit_price"]) == ("12", "81.5")
    await house.venue.fill(replaced.broker_order_id, "12", "81.4")
    done = await house.until(order.order_id, "FILLED")
    assert (done.filled_quantity, done.average_fill_price) == ("12", "81.4")
    await audit(house)


@pytest.mark.parametrize("carries", [True, False], ids=["carried", "from-zero"])
async def test_fills_on_both_ids_make_one_total(house: House, carries: bool) -> None:
    """Whether a successor starts with what its predecessor filled is not documented: both end the same."""
    await house.venue.settings(carries_fills=carries)
    name = f"r-both-{carries}".lower()
    order = await limit(house, name)
    await house.venue.fill(name, "3", "79.9")
    await house.until(order.order_id, "PARTIALLY_FILLED")
    replaced = await house.replace(order.order_id, quantity="9", limit_price="82")
    assert (state_of(replaced), replaced.filled_quantity, replaced.leaves_quantity) == ("PARTIALLY_FILLED", "3", "6")
    await house.venue.fill(replaced.broker_order_id, "2", "82")
    await house.venue.fill(replaced.broker_order_id, "4", "81.9")
    done = await house.until(order.order_id, "FILLED")
    assert done.filled_quantity == "9"
    assert [fill.broker_order_id for fill in house.tape.fills(order.order_id)] == [
        order.broker_order_id,
        replaced.broker_order_id,
        replaced.broker_order_id,
    ]
    await house.venue.settings(carries_fills=True)
    await audit(house)


async def test_a_chain_of_replaces(house: House) -> None:
    order = await limit(house, "r-chain")
    for number in range(1, 6):
        order = await house.replace(order.order_id, request_id=f"r{number}", limit_price=f"8{number}")
        assert order.limit_price == f"8{number}"
    assert len(order.broker_order_ids) == 6
    await house.venue.fill(order.broker_order_id, "10", "84")
    await house.until(order.order_id, "FILLED")
    await audit(house)


async def test_a_repeated_request_is_answered_and_sent_once(house: House) -> None:
    order = await limit(house, "r-repeat")
    answers = await asyncio.gather(*(house.replace(order.order_id, limit_price="81") for _ in range(20)))
    assert {answer.order_id for answer in answers} == {order.order_id}
    final = await house.until_order(order.order_id, pending_replace=False, limit_price="81")
    assert len(final.broker_order_ids) == 2
    with pytest.raises(grpc.aio.AioRpcError) as reused:
        await house.replace(order.order_id, limit_price="82")
    assert reused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert len(await house.venue.received("PATCH", f"/v2/orders/{order.broker_order_id}")) == 1
    await house.cancel(order.order_id)
    await audit(house)


async def test_what_cannot_be_replaced_is_refused_here(house: House) -> None:
    order = await limit(house, "r-refused")
    await house.venue.fill("r-refused", "4", "80")
    await house.until(order.order_id, "PARTIALLY_FILLED")
    assert await refused(house, order.order_id, quantity="4") == "QUANTITY_NOT_ABOVE_FILLED"
    with pytest.raises(grpc.aio.AioRpcError) as stale:
        await house.replace(order.order_id, limit_price="81", expected_version=1)
    assert stale.value.code() is grpc.StatusCode.ABORTED
    unchanged = await house.replace(order.order_id, limit_price="80")
    assert len(unchanged.broker_order_ids) == 1
    assert state_of(await house.cancel(order.order_id)) == "CANCELED"
    assert await refused(house, order.order_id, limit_price="81") == "ORDER_ENDED"
    assert not await house.venue.received("PATCH", f"/v2/orders/{order.broker_order_id}")
    await audit(house)


async def test_one_change_at_a_time(house: House) -> None:
    order = await limit(house, "r-busy")
    await house.venue.arm("hold_answer", method="PATCH", order="r-busy", barrier="r-busy")
    await house.venue.settings(replace_delay_ms=60_000)
    replacing = asyncio.create_task(house.replace(order.order_id, limit_price="81"))
    await house.venue.waiting("r-busy")
    assert await refused(house, order.order_id, request_id="r2", limit_price="82") == "ORDER_PENDING_REPLACE"
    await house.venue.settings(replace_delay_ms=1)
    await house.venue.release("r-busy")
    # The venue planned the long delay: a person ends it.
    await house.venue.end("r-busy", "canceled")
    await replacing
    await house.until(order.order_id, "CANCELED")


async def test_a_fill_that_crosses_the_replace_wins(house: House) -> None:
    order = await limit(house, "r-crossed")
    await house.venue.arm("fill_crosses_replace", order="r-crossed")
    answer = await house.replace(order.order_id, quantity="12")
    done = await house.until(order.order_id, "FILLED")
    assert (done.quantity, done.filled_quantity, done.pending_replace) == ("10", "10", False)
    assert done.broker_order_id == order.broker_order_id
    assert answer.order_id == order.order_id
    await audit(house)


async def test_a_part_that_crosses_the_replace_counts(house: House) -> None:
    order = await limit(house, "r-part")
    await house.venue.arm("fill_crosses_replace", order="r-part", quantity="4")
    await house.replace(order.order_id, quantity="12")
    told = await house.until_order(order.order_id, filled_quantity="4", quantity="12")
    assert (state_of(told), told.leaves_quantity) == ("PARTIALLY_FILLED", "8")
    await house.venue.fill(told.broker_order_id, "8", "80")
    await house.until(order.order_id, "FILLED")
    await audit(house)


async def test_the_brokers_refusal_leaves_the_old_terms(house: House) -> None:
    await house.venue.settings(is_auto_fill=False, route_delay_ms=3000)
    order = await house.submit(client_order_id="r-unsent", quantity="10", limit_price="80")
    assert state_of(order) == "SUBMITTED"
    answer = await house.replace(order.order_id, limit_price="81")
    assert (answer.limit_price, answer.pending_replace) == ("80", False)
    assert house.tape.types(order.order_id)[-1] == "REPLACE_REFUSED"
    await house.venue.settings(route_delay_ms=1)
    assert state_of(await house.cancel(order.order_id)) == "CANCELED"
    await audit(house)


@pytest.mark.parametrize("kind", ["lose_answer", "cut_answer", "answer_status"])
async def test_a_replace_whose_answer_is_lost_is_found(house: House, kind: str) -> None:
    name = f"r-{kind.replace('_', '-')}"
    order = await limit(house, name)
    await house.venue.arm("drop_frame", order=name, times=0)
    await house.venue.arm(kind, method="PATCH", order=name, at_byte=30)
    replaced = await house.replace(order.order_id, limit_price="81")
    replaced = await house.until_order(order.order_id, limit_price="81", pending_replace=False)
    assert len(replaced.broker_order_ids) == 2
    assert len(await house.venue.received("PATCH", f"/v2/orders/{order.broker_order_id}")) == 1
    await house.venue.fill(replaced.broker_order_id, "10", "80.5")
    await house.until(order.order_id, "FILLED")
    await audit(house)


async def test_a_replace_that_never_arrived_is_refused_after_proof(house: House) -> None:
    order = await limit(house, "r-nowhere")
    await house.venue.arm("lose_request", method="PATCH", order="r-nowhere")
    await house.replace(order.order_id, limit_price="81")
    told = await house.until_order(order.order_id, pending_replace=False, limit_price="80")
    assert house.tape.types(order.order_id)[-1] == "REPLACE_REFUSED"
    assert len(await house.venue.received("PATCH", f"/v2/orders/{order.broker_order_id}")) == 1
    assert state_of(told) == "ACCEPTED"
    await house.cancel(order.order_id)
    await audit(house)


async def test_a_cancel_during_a_replace_reaches_the_survivor(house: House) -> None:
    order = await limit(house, "r-then-c")
    await house.venue.settings(replace_delay_ms=300)
    replacing = asyncio.create_task(house.replace(order.order_id, limit_price="81"))
    await house.until_order(order.order_id, pending_replace=True)
    answer = await house.cancel(order.order_id)
    assert state_of(answer) == "CANCELED"
    await replacing
    await house.venue.settings(replace_delay_ms=1)
    await audit(house)
    ids = (await house.get(order.order_id)).broker_order_ids
    assert [row["status"] for row in await house.venue.orders() if row["order_id"] in ids] == ["replaced", "canceled"]


async def test_an_order_replaced_by_a_person_is_followed(house: House) -> None:
    order = await limit(house, "r-person")
    await house.venue.fill("r-person", "2", "80")
    await house.until(order.order_id, "PARTIALLY_FILLED")
    row = await house.venue.replace_by_person("r-person", quantity="7", limit_price="83")
    told = await house.until_order(order.order_id, quantity="7", limit_price="83")
    assert told.broker_order_id == row["order_id"]
    await house.venue.fill(row["order_id"], "5", "82.5")
    done = await house.until(order.order_id, "FILLED")
    assert done.filled_quantity == "7"
    assert len({o.order_id for o in house.tape.orders.values() if row["order_id"] in o.broker_order_ids}) == 1
    await audit(house)


async def test_an_order_replaced_by_a_person_unheard_is_followed_by_the_reconciler(house: House) -> None:
    order = await limit(house, "r-person-2")
    await house.venue.arm("drop_frame", times=0)
    row = await house.venue.replace_by_person("r-person-2", limit_price="83")
    await house.venue.until(lambda: house.venue.order(row["order_id"]), lambda it: it["status"] == "new")
    await house.venue.calm()
    await house.reconcile()
    told = await house.until_order(order.order_id, limit_price="83")
    assert told.broker_order_id == row["order_id"]
    await house.cancel(order.order_id)
    await audit(house)


async def test_a_fill_on_the_successor_binds_it_before_anything_else_tells_of_it(house: House) -> None:
    order = await limit(house, "r-bound")
    await house.venue.arm("hold_answer", method="PATCH", order="r-bound", barrier="r-bound")
    await house.venue.arm("drop_frame", event="replaced")
    await house.venue.arm("drop_frame", event="new")
    replacing = asyncio.create_task(house.replace(order.order_id, limit_price="81"))
    await house.venue.waiting("r-bound")
    rows = await house.venue.until(
        house.venue.orders, lambda rows: any(row["replaces"] == order.broker_order_id for row in rows)
    )
    successor = next(row for row in rows if row["replaces"] == order.broker_order_id)
    await house.venue.until(lambda: house.venue.order(successor["order_id"]), lambda it: it["status"] == "new")
    await house.venue.fill(successor["order_id"], "10", "80.9")
    done = await house.until(order.order_id, "FILLED")
    assert (done.broker_order_id, done.limit_price) == (successor["order_id"], "81")
    await house.venue.release("r-bound")
    await replacing
    await audit(house)


async def test_a_replace_asked_while_the_answer_of_the_one_before_is_held_is_sent_too(house: House) -> None:
    order = await limit(house, "r-held")
    await house.venue.arm("hold_answer", method="PATCH", order="r-held", barrier="r-held")
    first = asyncio.create_task(house.replace(order.order_id, limit_price="81"))
    await house.venue.waiting("r-held")
    assert (await first).limit_price == "81", "the stream proved it while the answer is still on its way"
    second = asyncio.create_task(house.replace(order.order_id, limit_price="82", request_id="r2"))
    await house.until_order(order.order_id, pending_replace=True)
    await house.venue.release("r-held")
    assert (await second).limit_price == "82"
    assert len((await house.get(order.order_id)).broker_order_ids) == 3
    await audit(house)


async def test_a_successor_that_is_heard_of_before_its_elder_joins_it(house: House) -> None:
    """The submit's answer and frames are lost, and a person has replaced the order meanwhile."""
    await house.venue.settings(is_auto_fill=False)
    await house.venue.arm("drop_frame", order="r-unheard-elder", times=0)
    await house.venue.arm("hold_answer", method="POST", order="r-unheard-elder", barrier="r-unheard-elder")
    asked = asyncio.create_task(
        house.submit(
            client_order_id="r-unheard-elder",
            symbol="KO",
            quantity="10",
            type=opb.ORDER_TYPE_LIMIT,
            limit_price="80",
        )
    )
    await house.venue.waiting("r-unheard-elder")
    await house.venue.until(lambda: house.venue.order("r-unheard-elder"), lambda row: row["status"] == "new")
    successor = await house.venue.replace_by_person("r-unheard-elder", limit_price="81")
    order = next(o for o in house.tape.orders.values() if o.client_order_id == "r-unheard-elder")
    bound = await house.until_order(order.order_id, broker_order_id=successor["order_id"])
    assert bound.limit_price == "81"
    await house.venue.release("r-unheard-elder")
    await asked
    await audit(house)
