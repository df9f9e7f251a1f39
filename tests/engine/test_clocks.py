"""Clocks may lie: ours is set a day ahead or back under way, and nothing that happened at the broker is overlooked."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.v1 import order_pb2 as opb
from orderd.engine.api import Wait
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import NewOrder, OrderType, Side, TimeInForce
from tests.e2e.books import state_of
from tests.engine.world import World

DAY = timedelta(days=1)


def buy_by_hand(world: World, name: str) -> None:
    """Somebody trades at the broker's own screen."""
    venue = world.face.venue
    new = NewOrder(
        symbol="F",
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        quantity=Decimal(3),
        limit_price=Decimal(20),
        client_order_id=name,
    )
    venue.submit(next(iter(venue.state.accounts.values())), new)


@pytest.mark.parametrize("jumps", [(DAY, timedelta(0)), (-DAY, timedelta(0)), (DAY, -DAY), (timedelta(0), DAY)])
def test_what_traded_while_the_stream_was_silent_is_found_whatever_the_wall_clock_says(
    tmp_path: Path, jumps: tuple[timedelta, timedelta]
) -> None:
    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        resting, _ = await world.submit(client_order_id="resting", quantity="5", limit_price="80", wait=Wait.BROKER)
        world.clock.skew = jumps[0]
        assert await world.reconcile()
        world.clock.skew = jumps[1]
        world.face.venue.faults.arm(Fault(kind=FaultKind.DROP_FRAME, times=0))
        world.face.venue.fill("resting", Decimal(2))
        buy_by_hand(world, "by hand")
        world.pump()
        await world.clock.sleep(1)
        assert await world.reconcile()
        orders = {order.client_order_id or order.broker_client_reference: order for order in world.orders()}
        assert state_of(orders["by hand"]) == "FILLED"
        assert (state_of(orders["resting"]), orders["resting"].filled_quantity) == ("PARTIALLY_FILLED", "2")
        assert [fill.status for fill in world.fills(resting)] == [opb.FILL_STATUS_LIVE]
        await world.kill()

    run_virtual(main)


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_an_order_in_line_does_not_age_by_the_wall_clock(tmp_path: Path, jump: timedelta) -> None:
    async def main() -> None:
        world = World(tmp_path, 1, policy={"parallel_submits": 1})
        await world.start()
        hold = Fault(kind=FaultKind.HOLD_ANSWER, method="POST", delay_ms=900, times=1)
        world.face.venue.faults.arm(hold)
        first, _ = await world.submit(client_order_id="first", symbol="F")
        second, _ = await world.submit(client_order_id="second")
        world.clock.skew = jump
        await world.clock.sleep(5)
        states = {order.order_id: state_of(order) for order in world.orders()}
        assert states == {first: "FILLED", second: "FILLED"}
        await world.kill()

    run_virtual(main)
