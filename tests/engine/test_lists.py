"""The broker's lists: one that never comes, and ones that tell of complex orders that had been given up."""

from pathlib import Path

from oms.v1 import order_pb2 as opb
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from tests.e2e.books import state_of
from tests.engine.world import World
from tests.faults.script import strategy

HANGS_S = 10.5


def test_a_list_that_never_comes_is_given_up_in_time_for_another(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        hold = Fault(kind=FaultKind.HOLD_ANSWER, method="GET", path="/v2/orders", barrier="never", times=1)
        world.face.venue.faults.arm(hold)
        began_ns = world.clock.monotonic_ns()
        assert not await world.reconcile()
        assert (world.clock.monotonic_ns() - began_ns) / 1e9 <= HANGS_S
        assert await world.reconcile()
        await world.kill()

    run_virtual(main)


def test_the_legs_of_a_spread_that_comes_back_are_the_legs_it_had(tmp_path: Path) -> None:
    """The broker took it and answered that it had not; it was canceled here before it was to be sent again."""

    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 1000})
        await world.start()
        faults = world.face.venue.faults
        faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, status=429, method="POST", times=1))
        faults.arm(Fault(kind=FaultKind.DROP_FRAME, times=0))
        spread = {**strategy({"quantity": "1", "trace_id": "t"}), "limit_price": "9"}
        order_id, _ = await world.submit(client_order_id="spread", **spread)
        await world.clock.sleep(0.1)
        await world.cancel(order_id)
        await world.clock.sleep(1)
        assert {state_of(order) for order in world.orders()} == {"CANCELED", "SUBMIT_FAILED"}
        assert await world.reconcile()
        parent, *legs = world.orders()
        assert [state_of(order) for order in (parent, *legs)] == ["FILLED"] * 3
        assert [leg.parent_order_id for leg in legs] == [order_id] * 2
        assert [fill.status for leg in legs for fill in world.fills(leg.order_id)] == [opb.FILL_STATUS_LIVE] * 2
        assert not world.disagreements()
        await world.kill()

    run_virtual(main)
