"""Busts, corrections and overfills: the trail is kept, the totals are the broker's."""

import grpc
import pytest

from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.audit import audit
from tests.e2e.errors import details
from tests.e2e.harness import House, state_of
from tests.e2e.test_cancels import resting

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def executions(house: House, name: str) -> list[str]:
    rows = (await house.venue.ledger())["executions"]
    return [row["execution_id"] for row in rows if row["client_order_id"] == name and row["state"] == "live"]


def statuses(order_fills: list[opb.Fill]) -> list[str]:
    return [opb.FillStatus.Name(fill.status).removeprefix("FILL_STATUS_") for fill in order_fills]


async def fills_of(house: House, order_id: str) -> list[opb.Fill]:
    answer = await house.orders.GetOrder(pb.GetOrderRequest(order_id=order_id))
    return list(answer.fills)


async def test_a_busted_execution_of_a_working_order_no_longer_counts(house: House) -> None:
    order = await resting(house, "b-working")
    await house.venue.fill("b-working", "4", "86")
    await house.venue.fill("b-working", "2", "86.3")
    await house.until_order(order.order_id, filled_quantity="6")
    first, _ = await executions(house, "b-working")
    await house.venue.call("POST", f"executions/{first}/bust")
    told = await house.until_order(order.order_id, filled_quantity="2")
    assert (state_of(told), told.average_fill_price, told.leaves_quantity) == ("PARTIALLY_FILLED", "86.3", "8")
    assert statuses(await fills_of(house, order.order_id)) == ["BUSTED", "LIVE"]
    await house.venue.fill("b-working", "8", "86.5")
    done = await house.until(order.order_id, "FILLED")
    assert done.filled_quantity == "10"
    await audit(house)


async def test_a_bust_that_overtakes_its_fill_is_kept_for_it(house: House) -> None:
    order = await resting(house, "b-early")
    await house.venue.arm("delay_frame", order="b-early", event="partial_fill", barrier="b-early")
    await house.venue.fill("b-early", "4", "86")
    (execution,) = await executions(house, "b-early")
    await house.venue.call("POST", f"executions/{execution}/bust")
    await house.venue.release("b-early")
    await house.tape.until(lambda: bool(house.tape.fills(order.order_id)))
    told = await house.until_order(order.order_id, filled_quantity="0")
    assert state_of(told) == "ACCEPTED"
    assert statuses(await fills_of(house, order.order_id)) == ["BUSTED"]
    await house.venue.fill("b-early", "10", "86.5")
    await house.until(order.order_id, "FILLED")
    await audit(house)


async def test_a_corrected_execution_counts_as_corrected(house: House) -> None:
    order = await resting(house, "b-correct")
    await house.venue.fill("b-correct", "4", "86")
    await house.until_order(order.order_id, filled_quantity="4")
    (execution,) = await executions(house, "b-correct")
    await house.venue.call("POST", f"executions/{execution}/correct", {"quantity": "4", "price": "85.5"})
    told = await house.until_order(order.order_id, average_fill_price="85.5")
    assert (told.filled_quantity, state_of(told)) == ("4", "PARTIALLY_FILLED")
    assert statuses(await fills_of(house, order.order_id)) == ["CORRECTED", "LIVE"]
    await house.venue.fill("b-correct", "6", "86")
    await house.until(order.order_id, "FILLED")
    await audit(house)


async def test_the_bust_of_a_filled_order_reads_it_again(house: House) -> None:
    order = await resting(house, "b-filled")
    await house.venue.fill("b-filled", "6", "86")
    await house.venue.fill("b-filled", "4", "86.1")
    await house.until(order.order_id, "FILLED")
    first, _ = await executions(house, "b-filled")
    await house.venue.call("POST", f"executions/{first}/bust")
    told = await house.until(order.order_id, "CANCELED")
    assert (told.filled_quantity, told.status_reason.code) == ("4", "BUSTED")
    assert told.leaves_quantity == "0"


async def test_an_overfill_is_booked_flagged_and_blocks_the_symbol(house: House) -> None:
    await house.venue.settings(is_auto_fill=False)
    await house.venue.arm("overfill", order="b-over", quantity="2")
    order = await house.submit(client_order_id="b-over", quantity="10", symbol="META")
    told = await house.until_order(order.order_id, filled_quantity="12")
    assert (state_of(told), told.overfilled, told.leaves_quantity) == ("FILLED", True, "0")
    denied = await house.submit(client_order_id="b-after", symbol="META")
    assert state_of(denied) == "DENIED"
    other = await house.submit(client_order_id="b-other", symbol="AMD")
    assert other.broker_order_id
    await audit(house, discrepancies=1)
    listed = await house.brokers.ListDiscrepancies(bpb.ListDiscrepanciesRequest(order_ids=[order.order_id]))
    (record,) = listed.discrepancies
    assert (record.kind, record.effect) == (bpb.DISCREPANCY_KIND_OVERFILL, bpb.DISCREPANCY_EFFECT_SYMBOL_BLOCKED)
    assert (record.expected, record.observed, record.symbol) == ("10", "12", "META")
    asked = bpb.ResolveDiscrepancyRequest(
        discrepancy_id=record.discrepancy_id, reason="sold by hand", operator_name="a"
    )
    closed = (await house.brokers.ResolveDiscrepancy(asked)).discrepancy
    assert (closed.resolved_by, closed.resolution) == (opb.EVENT_SOURCE_OPERATOR, "sold by hand")
    again = await house.submit(client_order_id="b-again", symbol="META")
    assert again.broker_order_id
    await house.reconcile()
    await audit(house)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.brokers.ResolveDiscrepancy(asked)
    assert details(refused.value)[0] == "DISCREPANCY_RESOLVED"
