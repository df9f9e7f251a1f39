"""What only one test each could notice: what a restart must not forget, limits under a crowd, a wall clock that lies.

All in virtual time, against the venue in the same process.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orderd.risk.limits import Limits
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from tests.engine.world import SETTLE_S, World
from tests.reach import Reached

DAY = timedelta(days=1)
ORDERS = "/v2/orders"


def arm(world: World, kind: FaultKind, **fields: Any) -> None:  # noqa: ANN401 - any field of a fault
    """Let this happen to everything that matches, from now on."""
    world.face.venue.faults.arm(Fault(**{"kind": kind, "times": 0, "path": ORDERS, **fields}))


def state(world: World, order_id: str) -> str:
    """The order's state as the journal has it."""
    order = world.alive.journal.load(order_id)
    assert order is not None
    return order.state.value


def is_placed(world: World, order_id: str) -> bool:
    """Whether the broker has it; on another day the venue may be closed."""
    order = world.alive.journal.load(order_id)
    return order is not None and bool(order.links)


async def until(is_true: Callable[[], bool], within_s: float = 10) -> float:
    """Wait for it in virtual time. Returns how long it took."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(within_s):
        while not is_true():  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.01)
    return asyncio.get_running_loop().time() - began


def test_a_cancel_that_was_asked_for_before_a_restart_is_carried_out_after_it(tmp_path: Path, reached: Reached) -> None:
    async def main() -> None:
        world = World(tmp_path, 1, policy={"reconcile_interval_s": 300})
        await world.start()
        order_id, _ = await world.submit(client_order_id="working", limit_price="0.5")
        await until(lambda: state(world, order_id) == "ACCEPTED")
        arm(world, FaultKind.LOSE_REQUEST, method="DELETE")
        await world.cancel(order_id)
        await asyncio.sleep(2)
        await world.kill()
        world.face.venue.faults.clear()
        await world.start()
        await until(lambda: state(world, order_id) == "CANCELED")
        assert not world.disagreements()
        await world.kill()
        reached("P10", "cancels that were asked for before a restart and ended after it", 1)

    run_virtual(main)


def test_what_was_written_and_never_sent_is_sent_after_a_restart(tmp_path: Path, reached: Reached) -> None:
    async def main() -> None:
        world = World(tmp_path, 2, policy={"submit_timeout_s": 30})
        await world.start()
        arm(world, FaultKind.DROP_FRAME, path="")
        arm(world, FaultKind.HOLD_ANSWER, method="POST", barrier="hang")
        order_ids = [(await world.submit(client_order_id=f"line-{number}"))[0] for number in range(4)]
        await asyncio.sleep(0.1)
        assert [state(world, order_id) for order_id in order_ids] == ["SUBMITTED", "CREATED", "CREATED", "CREATED"]
        await world.kill()
        world.face.venue.faults.clear()
        await world.start()
        await until(lambda: all(state(world, order_id) == "FILLED" for order_id in order_ids))
        assert not world.books().doubles()
        assert not world.disagreements()
        await world.kill()
        reached("P15", "orders that a restart found unsent, and sent", 3)

    run_virtual(main)


def test_a_drain_waits_for_the_answer_that_is_on_its_way_and_records_it(tmp_path: Path, reached: Reached) -> None:
    async def main() -> None:
        world = World(tmp_path, 7, policy={"submit_timeout_s": 30})
        await world.start()
        arm(world, FaultKind.DROP_FRAME, path="")
        arm(world, FaultKind.HOLD_ANSWER, method="POST", barrier="flying")
        order_id, _ = await world.submit(client_order_id="flying")
        await asyncio.sleep(0.1)
        draining = asyncio.create_task(world.alive.engine.drain())
        await asyncio.sleep(5)
        assert not draining.done()
        assert state(world, order_id) == "SUBMITTED"
        world.face.venue.faults.barriers.release("flying")
        world.pump()
        await asyncio.wait_for(draining, 1)
        assert is_placed(world, order_id), "recorded before the process ends"
        await world.kill()
        reached("P4", "answers that a drain waited for and recorded", 1)

    run_virtual(main)


def test_a_crowd_does_not_get_past_the_limit_of_open_orders(tmp_path: Path, reached: Reached) -> None:
    """Each of them is judged before any of them is committed: those on their way count."""

    async def main() -> None:
        world = World(tmp_path, 3)
        await world.start()
        account = world.alive.workers.account
        account.policy = replace(account.policy, limits=Limits(max_open_orders=3))
        crowd = [world.submit(client_order_id=f"crowd-{number}", limit_price="0.5") for number in range(20)]
        order_ids = [order_id for order_id, _ in await asyncio.gather(*crowd)]
        denied = [order_id for order_id in order_ids if state(world, order_id) == "DENIED"]
        assert len(denied) == 17
        await world.kill()
        reached("P13", "concurrent submits of which the limit let through three", 20)

    run_virtual(main)


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["ahead", "behind"])
def test_an_order_in_line_does_not_age_by_the_wall_clock(tmp_path: Path, jump: timedelta, reached: Reached) -> None:
    """A day ahead it would be stale at once, a day behind it would wait for ever."""

    async def main() -> None:
        world = World(tmp_path, 4, policy={"submit_timeout_s": 30, "send_within_s": 20})
        await world.start()
        arm(world, FaultKind.HOLD_ANSWER, method="POST", barrier="line")
        first, _ = await world.submit(client_order_id="first")
        second, _ = await world.submit(client_order_id="second")
        world.clock.skew = jump
        await asyncio.sleep(10)
        assert state(world, second) == "CREATED"
        world.face.venue.faults.clear()
        world.face.venue.faults.barriers.release("line")
        world.pump()
        await until(lambda: is_placed(world, first) and is_placed(world, second))
        # And one that does grow too old is given up, whatever the wall clock says.
        arm(world, FaultKind.HOLD_ANSWER, method="POST", barrier="again")
        await world.submit(client_order_id="third")
        fourth, _ = await world.submit(client_order_id="fourth")
        waited_s = await until(lambda: state(world, fourth) == "SUBMIT_FAILED", within_s=40)
        assert 20 <= waited_s <= 30
        await world.kill()
        reached("P18", "wall clock jumps of a day in which nothing aged", 1)

    run_virtual(main)


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["ahead", "behind"])
def test_the_settle_time_passes_by_the_monotonic_clock(tmp_path: Path, jump: timedelta, reached: Reached) -> None:
    """A day ahead an absent order would be sent again at once, a day behind never."""

    async def main() -> None:
        world = World(tmp_path, 5, policy={"reconcile_interval_s": 300})
        await world.start()
        arm(world, FaultKind.LOSE_REQUEST, method="POST")
        order_id, _ = await world.submit(client_order_id="lost")
        await until(lambda: state(world, order_id) == "UNKNOWN")
        await asyncio.sleep(SETTLE_S / 10)
        world.clock.skew = jump
        world.face.venue.faults.clear()
        waited_s = await until(lambda: is_placed(world, order_id))
        assert waited_s >= SETTLE_S / 2
        await world.kill()
        reached("P18", "wall clock jumps of a day while an outcome was not known", 1)

    run_virtual(main)


def test_a_second_send_has_a_settle_time_of_its_own(tmp_path: Path, reached: Reached) -> None:
    """Proven absent, it waits in line and is looked up meanwhile; that silence proves nothing about the second send."""

    async def main() -> None:
        policy = {"reconcile_interval_s": 300, "parallel_submits": 1, "send_within_s": 2.3, "submit_timeout_s": 30}
        world = World(tmp_path, 6, policy=policy)
        await world.start()
        faults = world.face.venue.faults
        arm(world, FaultKind.DROP_FRAME, path="")
        arm(world, FaultKind.LOSE_REQUEST, method="POST", times=1)
        order_id, _ = await world.submit(client_order_id="twice")
        await until(lambda: state(world, order_id) == "UNKNOWN")
        await asyncio.sleep(SETTLE_S / 2)
        arm(world, FaultKind.HOLD_ANSWER, method="POST", barrier="ahead", times=1)
        await world.submit(client_order_id="ahead", symbol="F")
        await asyncio.sleep(SETTLE_S)
        assert await world.reconcile()
        arm(world, FaultKind.LAND_LATE, method="POST", status=503, delay_ms=900, times=1)
        await asyncio.sleep(0.3)
        faults.barriers.release("ahead")
        await until(lambda: state(world, order_id) in {"FILLED", "SUBMIT_FAILED"})
        await asyncio.sleep(SETTLE_S)
        assert state(world, order_id) == "FILLED"
        assert not await world.discrepancies()
        await world.kill()
        reached("P2", "second sends of one order, each given its own settle time", 1)

    run_virtual(main)


def test_what_was_asked_before_the_settle_time_is_no_proof_however_late_it_is_answered(
    tmp_path: Path, reached: Reached
) -> None:
    async def main() -> None:
        world = World(tmp_path, 6, policy={"reconcile_interval_s": 300, "send_within_s": 1})
        await world.start()
        arm(world, FaultKind.DROP_FRAME, path="")
        arm(world, FaultKind.LAND_LATE, method="POST", status=503, delay_ms=700, times=1)
        arm(world, FaultKind.HOLD_ANSWER, method="GET", path="/v2/orders:by_client_order_id", delay_ms=2500, times=1)
        order_id, _ = await world.submit(client_order_id="late")
        await until(lambda: state(world, order_id) in {"FILLED", "SUBMIT_FAILED"})
        await asyncio.sleep(SETTLE_S)
        assert state(world, order_id) == "FILLED"
        assert not await world.discrepancies()
        await world.kill()
        reached("P2", "look-ups answered after the settle time that had been asked before it", 1)

    run_virtual(main)
