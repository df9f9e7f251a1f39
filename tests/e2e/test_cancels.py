"""A cancel is a wish until the broker has proven an end: what crosses it, what loses it, and who else cancels."""

import asyncio

import grpc
import pytest

from oms.v1 import error_pb2
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.canary import KEY_ID, SECRET
from tests.e2e.audit import audit
from tests.e2e.errors import reason_of
from tests.e2e.harness import House, state_of, submit_request

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def resting(house: House, name: str, quantity: str = "10", **fields: object) -> opb.Order:
    """An accepted order that trades only when told."""
    await house.venue.settings(is_auto_fill=False)
    order = await house.submit(client_order_id=name, quantity=quantity, **fields)
    return await house.until(order.order_id, "ACCEPTED")


async def test_a_cancel_is_answered_when_the_broker_has_proven_it(house: House) -> None:
    order = await resting(house, "c-plain")
    canceled = await house.cancel(order.order_id, reason="no longer wanted")
    assert state_of(canceled) == "CANCELED"
    assert (canceled.filled_quantity, canceled.leaves_quantity, canceled.pending_cancel) == ("0", "0", False)
    assert house.tape.types(order.order_id)[-2:] == ["CANCEL_REQUESTED", "CANCELED"]
    await audit(house)


async def test_repeats_are_answered_and_nothing_is_asked_twice(house: House) -> None:
    order = await resting(house, "c-repeat")
    answers = await asyncio.gather(*(house.cancel(order.order_id) for _ in range(20)))
    assert {state_of(answer) for answer in answers} == {"CANCELED"}
    assert state_of(await house.cancel(order.order_id)) == "CANCELED"
    assert house.tape.types(order.order_id).count("CANCEL_REQUESTED") == 1
    assert len(await house.venue.received("DELETE", f"/v2/orders/{order.broker_order_id}")) == 1
    await audit(house)


async def test_a_filled_order_cannot_be_cancelled_and_the_answer_shows_it(house: House) -> None:
    order = await house.submit(client_order_id="c-done")
    await house.until(order.order_id, "FILLED")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.cancel(order.order_id)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(refused.value) == "ORDER_ENDED"
    await audit(house)


async def test_a_fill_that_crosses_the_cancel_is_counted(house: House) -> None:
    order = await resting(house, "c-crossed")
    await house.venue.arm("fill_crosses_cancel", order="c-crossed")
    answer = await house.cancel(order.order_id)
    assert state_of(answer) == "FILLED"
    assert answer.filled_quantity == "10"
    await audit(house)


async def test_a_part_that_crosses_the_cancel_is_counted(house: House) -> None:
    order = await resting(house, "c-part-crossed")
    await house.venue.arm("fill_crosses_cancel", order="c-part-crossed", quantity="4")
    answer = await house.cancel(order.order_id)
    assert (state_of(answer), answer.filled_quantity, answer.leaves_quantity) == ("CANCELED", "4", "0")
    await audit(house)


async def test_a_fill_that_comes_after_the_cancel_was_proven_is_booked(house: House) -> None:
    order = await resting(house, "c-late")
    await house.cancel(order.order_id)
    await house.venue.fill("c-late", "3", "86.4")
    told = await house.until_order(order.order_id, filled_quantity="3")
    assert state_of(told) == "CANCELED"
    await house.venue.fill("c-late", "7", "86.4")
    await house.until(order.order_id, "FILLED")


async def test_filled_in_part_then_cancelled_by_the_venue(house: House) -> None:
    await house.venue.settings(is_auto_fill=False)
    await house.venue.arm("partial_then_cancel", order="c-ioc", quantity="4")
    order = await house.submit(client_order_id="c-ioc", quantity="10")
    ended = await house.until(order.order_id, "CANCELED")
    assert (ended.filled_quantity, ended.leaves_quantity) == ("4", "0")
    assert "CANCEL_REQUESTED" not in house.tape.types(order.order_id)
    await audit(house)


@pytest.mark.parametrize("kind", ["lose_answer", "lose_request", "answer_status", "cut_answer"])
async def test_a_cancel_whose_answer_is_lost_still_ends_the_order(house: House, kind: str) -> None:
    name = f"c-{kind.replace('_', '-')}"
    order = await resting(house, name)
    await house.venue.arm(kind, method="DELETE", order=name, at_byte=9)
    assert state_of(await house.cancel(order.order_id)) == "CANCELED"
    assert not (await house.get(order.order_id)).pending_cancel
    await audit(house)


async def test_a_cancel_before_the_broker_has_answered_is_remembered(house: House) -> None:
    await house.venue.settings(is_auto_fill=False)
    await house.venue.arm("drop_frame", order="c-early", times=2)
    await house.venue.arm("hold_answer", method="POST", order="c-early", barrier="c-early")
    submitted = await house.orders.SubmitOrder(
        submit_request(client_order_id="c-early", wait=pb.SUBMIT_WAIT_JOURNAL, quantity="10")
    )
    await house.venue.waiting("c-early")
    asked = await house.cancel(submitted.order.order_id, wait=pb.SUBMIT_WAIT_JOURNAL)
    assert (state_of(asked), asked.pending_cancel) == ("SUBMITTED", True)
    await house.venue.release("c-early")
    await house.until(submitted.order.order_id, "CANCELED")
    assert (await house.venue.order("c-early"))["status"] == "canceled"
    await audit(house)


async def test_a_cancel_of_an_order_that_waits_in_line_sends_nothing(house: House) -> None:
    await house.venue.settings(is_auto_fill=False)
    await house.venue.arm("hold_answer", method="POST", order="c-first", barrier="c-first")
    first = asyncio.create_task(house.submit(client_order_id="c-first", symbol="AMD"))
    await house.venue.waiting("c-first")
    second = await house.orders.SubmitOrder(
        submit_request(client_order_id="c-second", symbol="AMD", wait=pb.SUBMIT_WAIT_JOURNAL)
    )
    assert state_of(second.order) == "CREATED"
    assert state_of(await house.cancel(second.order.order_id)) == "CANCELED"
    await house.venue.release("c-first")
    await first
    assert await house.venue.posts("c-second") == []
    await audit(house)


async def test_the_brokers_own_end_and_a_persons_cancel_are_told(house: House) -> None:
    for status, state in (("canceled", "CANCELED"), ("expired", "EXPIRED"), ("rejected", "REJECTED")):
        order = await resting(house, f"c-by-{status}")
        await house.venue.end(f"c-by-{status}", status)
        await house.until(order.order_id, state)
    await audit(house)


async def test_words_beside_the_state_change_no_state(house: House) -> None:
    order = await resting(house, "c-words")
    for status, event in (("suspended", "suspended"), ("done_for_day", "done_for_day"), ("stopped", "stopped")):
        await house.venue.mark("c-words", status, event)
        told = await house.until_order(order.order_id, broker_status=status)
        assert (state_of(told), told.leaves_quantity) == ("ACCEPTED", "10")
    await house.venue.mark("c-words", "new", "new")
    await house.until_order(order.order_id, broker_status="new")
    assert state_of(await house.cancel(order.order_id)) == "CANCELED"
    await audit(house)


async def test_the_venues_pending_words_are_flags(house: House) -> None:
    await house.venue.settings(tells_pending=True, cancel_delay_ms=100)
    order = await resting(house, "c-flags")
    assert state_of(await house.cancel(order.order_id)) == "CANCELED"
    await house.venue.settings(tells_pending=False, cancel_delay_ms=1)
    await audit(house)


async def test_cancel_all_takes_what_it_is_asked_for(house: House) -> None:
    await house.venue.settings(is_auto_fill=False)
    ko = [await resting(house, f"c-all-ko-{n}") for n in range(3)]
    msft = await resting(house, "c-all-msft", symbol="MSFT")
    by_hand = await house.venue.by_hand(KEY_ID, SECRET, symbol="F", client_order_id="c-all-by-hand")
    external = await imported(house, by_hand["id"])

    answer = await house.orders.CancelAllOrders(pb.CancelAllOrdersRequest(account_id="paper", symbols=["KO"]))
    assert {row.order_id for row in answer.results} >= {order.order_id for order in ko}
    for order in ko:
        await house.until(order.order_id, "CANCELED")
    assert state_of(await house.get(msft.order_id)) == "ACCEPTED"

    answer = await house.orders.CancelAllOrders(pb.CancelAllOrdersRequest(account_id="paper", reason="stop"))
    assert msft.order_id in {row.order_id for row in answer.results}
    assert external.order_id not in {row.order_id for row in answer.results}
    await house.until(msft.order_id, "CANCELED")

    answer = await house.orders.CancelAllOrders(pb.CancelAllOrdersRequest(account_id="paper", include_external=True))
    assert external.order_id in {row.order_id for row in answer.results}
    assert {row.error_reason for row in answer.results} == {error_pb2.ERROR_REASON_UNSPECIFIED}
    await house.until(external.order_id, "CANCELED")
    assert not (await house.orders.CancelAllOrders(pb.CancelAllOrdersRequest(account_id="paper"))).results
    await audit(house)


async def imported(house: House, broker_order_id: str) -> opb.Order:
    """The order that was made of what somebody did at the broker."""
    await house.tape.until(lambda: any(o.broker_order_id == broker_order_id for o in house.tape.orders.values()))
    return next(order for order in house.tape.orders.values() if order.broker_order_id == broker_order_id)


async def test_an_order_placed_outside_is_imported_with_its_fills(house: House) -> None:
    await house.venue.settings(is_auto_fill=False)
    row = await house.venue.by_hand(KEY_ID, SECRET, qty="10", client_order_id="c-theirs")
    order = await imported(house, row["id"])
    assert (order.external, order.client_order_id, order.broker_client_reference) == (True, "", "c-theirs")
    assert (order.symbol, order.side, order.quantity) == ("KO", opb.SIDE_BUY, "10")
    assert house.tape.types(order.order_id)[0] == "IMPORTED"
    await house.venue.fill(row["id"], "4", "86.3")
    await house.venue.fill(row["id"], "6", "86.4")
    await house.until(order.order_id, "FILLED")
    # Their reference is no key of ours: the same one may be used here.
    await audit(house)


async def test_an_order_placed_outside_and_unheard_is_imported_by_the_reconciler(house: House) -> None:
    await house.venue.arm("drop_frame", order="c-unheard", times=0)
    row = await house.venue.by_hand(KEY_ID, SECRET, qty="10", client_order_id="c-unheard")
    await house.venue.until(lambda: house.venue.order(row["id"]), lambda it: it["status"] == "filled")
    await house.reconcile()
    order = await imported(house, row["id"])
    await house.until(order.order_id, "FILLED")
    await audit(house)
