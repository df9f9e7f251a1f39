"""Whatever happens to the broker's stream: each execution is booked once, with its own id, and soon."""

import asyncio
from pathlib import Path

import pytest

from oms.v1 import account_service_pb2 as apb
from oms.v1 import order_pb2 as opb
from tests.e2e.audit import audit
from tests.e2e.harness import House, state_of, trading

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOOKED_WITHIN_S = 5.0
"""How soon after a reconnect a missed fill is booked (promise P8)."""


async def resting(house: House, name: str, quantity: str = "10") -> opb.Order:
    """An accepted order that trades only when told."""
    await house.venue.settings(is_auto_fill=False)
    order = await house.submit(client_order_id=name, quantity=quantity)
    return await house.until(order.order_id, "ACCEPTED")


async def test_a_fill_whose_frame_was_dropped_is_booked_by_the_reconciler_once(house: House) -> None:
    order = await resting(house, "unheard")
    await house.venue.arm("drop_frame", order="unheard")
    await house.venue.fill("unheard", "4", "86.01")
    assert (await house.get(order.order_id)).filled_quantity == "0"
    await house.reconcile()
    await house.until_order(order.order_id, filled_quantity="4")
    (fill,) = house.tape.fills(order.order_id)
    (execution,) = [e for e in (await house.venue.ledger())["executions"] if e["client_order_id"] == "unheard"]
    assert fill.execution_id.endswith(execution["execution_id"])
    assert (fill.source, fill.status) == (opb.EVENT_SOURCE_RECONCILER, opb.FILL_STATUS_LIVE)
    # What is told afterwards goes on from there.
    await house.venue.fill("unheard", "6", "86.02")
    await house.until(order.order_id, "FILLED")
    assert len(house.tape.fills(order.order_id)) == 2
    await audit(house)


async def test_a_dropped_fill_between_two_heard_ones_is_fetched_at_once(house: House) -> None:
    order = await resting(house, "gap")
    await house.venue.fill("gap", "3", "86")
    await house.until_order(order.order_id, filled_quantity="3")
    await house.venue.arm("drop_frame", order="gap")
    await house.venue.fill("gap", "3", "86.1")
    await house.venue.fill("gap", "4", "86.2")
    done = await house.until(order.order_id, "FILLED")
    assert (done.filled_quantity, done.average_fill_price) == ("10", "86.11")
    assert {fill.status for fill in house.tape.fills(order.order_id)} == {opb.FILL_STATUS_LIVE}
    await audit(house)


async def test_frames_told_twice_change_nothing(house: House) -> None:
    await house.venue.arm("duplicate_frame", order="twice", times=0)
    order = await resting(house, "twice")
    for quantity, price in (("3", "86"), ("3", "86"), ("4", "86.2")):
        await house.venue.fill("twice", quantity, price)
    await house.until(order.order_id, "FILLED")
    assert len(house.tape.fills(order.order_id)) == 3
    await audit(house)


async def test_frames_in_the_wrong_order_end_the_same(house: House) -> None:
    order = await resting(house, "shuffled")
    await house.venue.arm("reorder_frame", order="shuffled", times=0)
    for quantity, price in (("1", "86"), ("2", "86.1"), ("3", "86.2"), ("4", "86.3")):
        await house.venue.fill("shuffled", quantity, price)
    await house.venue.calm()
    await house.reconcile()
    done = await house.until(order.order_id, "FILLED")
    assert done.average_fill_price == "86.2"
    assert len([f for f in house.tape.fills(order.order_id) if f.status == opb.FILL_STATUS_LIVE]) == 4
    await audit(house)


async def test_frames_that_come_late_change_nothing_that_is_known(house: House) -> None:
    order = await resting(house, "delayed")
    await house.venue.arm("delay_frame", order="delayed", barrier="delayed", times=0)
    await house.venue.fill("delayed", "4", "86")
    await house.venue.fill("delayed", "6", "86.5")
    await house.reconcile()
    await house.until(order.order_id, "FILLED")
    before = len(house.tape.of(order.order_id))
    await house.venue.release("delayed")
    await house.venue.calm()
    # A frame behind the late ones: when its order is told, they have been heard.
    marker = await resting(house, "behind")
    await house.venue.fill("behind")
    await house.until(marker.order_id, "FILLED")
    late = house.tape.of(order.order_id)[before:]
    assert [opb.OrderEventType.Name(event.type) for event in late if event.HasField("fill")] == []
    assert len(house.tape.fills(order.order_id)) == 2
    await audit(house)


async def test_frames_nobody_can_read_or_knows_do_not_stop_the_stream(house: House) -> None:
    order = await resting(house, "garbled")
    await house.venue.arm("unreadable_frame", order="garbled")
    await house.venue.fill("garbled", "1", "86")
    await house.venue.arm("unknown_event", order="garbled")
    await house.venue.fill("garbled", "2", "86.1")
    await house.venue.arm("unknown_frame_status", order="garbled")
    await house.venue.fill("garbled", "3", "86.2")
    await house.venue.fill("garbled", "4", "86.3")
    done = await house.until(order.order_id, "FILLED")
    assert done.average_fill_price == "86.2"
    await audit(house)


async def test_a_status_nobody_knows_is_kept_and_changes_no_state(house: House) -> None:
    order = await resting(house, "strange")
    await house.venue.arm("unknown_frame_status", order="strange", word="galloping")
    await house.venue.fill("strange", "1", "86")
    told = await house.until_order(order.order_id, filled_quantity="1")
    assert state_of(told) == "PARTIALLY_FILLED"
    await house.until_order(order.order_id, broker_status="partially_filled")
    await house.venue.fill("strange")
    await house.until(order.order_id, "FILLED")
    await audit(house)


@pytest.mark.parametrize("code", [1011, 0], ids=["closed", "cut"])
async def test_fills_missed_while_disconnected_are_booked_soon_after_the_reconnect(house: House, code: int) -> None:
    name = f"missed-{code}"
    order = await resting(house, name)
    await house.venue.arm("disconnect", order=name, code=code, is_accepted=False)
    # The stream ends instead of telling the first; the second finds nobody listening.
    await house.venue.fill(name, "4", "86")
    await house.venue.fill(name, "6", "86.5")
    await house.venue.until(
        house.account, lambda account: account.stream_health == apb.STREAM_HEALTH_CONNECTED, within_s=10
    )
    done = await house.until(order.order_id, "FILLED", within_s=BOOKED_WITHIN_S)
    assert (done.filled_quantity, done.average_fill_price) == ("10", "86.3")
    assert len(house.tape.fills(order.order_id)) == 2
    await audit(house)


async def test_many_disconnects_during_trading_lose_nothing(house: House) -> None:
    await house.venue.settings(is_auto_fill=True, partial_rate="0.5")
    await house.venue.arm("disconnect", probability=0.05, times=6, is_accepted=False)
    await house.venue.arm("drop_frame", probability=0.1, times=20)
    await house.venue.arm("duplicate_frame", probability=0.2, times=0)
    orders = await asyncio.gather(*(house.submit(client_order_id=f"storm-{n}", quantity="7") for n in range(60)))
    await house.venue.until(
        house.venue.orders, lambda rows: all(row["status"] == "filled" for row in rows), within_s=20
    )
    await house.venue.calm()
    await house.recovered()
    await house.reconcile()
    for order in orders:
        await house.until(order.order_id, "FILLED")
    await audit(house)


async def test_a_half_open_stream_is_noticed(tmp_path: Path) -> None:
    """Nothing is read or written on the connection any more, and nobody says so: pings find it out."""
    async with trading(tmp_path) as house:
        order = await resting(house, "stalled")
        await house.venue.call("POST", "connections/stall", {})
        await house.venue.fill("stalled")
        await house.until(order.order_id, "FILLED", within_s=30 + BOOKED_WITHIN_S)
        await audit(house)
