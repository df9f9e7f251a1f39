"""Cancel works whatever is wrong: one table of everything that can be, and the same three things asked in each.

In each row a submit is shown to be refused, denied or stuck, so that the row is what it says; then a working order is
cancelled, one that was never sent is ended, and CancelAll clears the rest. All in virtual time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.values import AccountId
from orderd.engine.api import CancelAllAsk, OrderRef, Wait
from orderd.engine.errors import EngineError
from orderd.ports import Append, Discrepancy
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from tests.engine.world import ACCOUNT, World
from tests.reach import Reached

WITHIN_S = 5.0
"""Virtual seconds until a cancel has come to its end; the venue answers at once."""
STUCK = "STUCK"
TAKEN = "TAKEN"


def arm(world: World, kind: FaultKind, **fields: Any) -> None:  # noqa: ANN401 - any field of a fault
    """Let this happen to everything that matches, from now on."""
    world.face.venue.faults.arm(Fault(**{"kind": kind, "times": 0, **fields}))


async def queue_is_full(world: World) -> None:
    """The broker answers no submit, and as many wait as may."""
    arm(world, FaultKind.HOLD_ANSWER, method="POST", barrier="hang")
    for number in range(6):
        await world.submit(client_order_id=f"full-{number}")


async def halted(world: World) -> None:
    """Something was found that only an operator may judge."""
    record = Discrepancy(
        discrepancy_id="d-1",
        account_id=AccountId(ACCOUNT),
        kind=DiscrepancyKind.MASS_DISAPPEARANCE,
        subject=ACCOUNT,
        expected="40 open orders",
        observed="40 of them unknown to the broker",
        opened_time=world.clock.now(),
    )
    await world.alive.journal.append([Append(steps=(), discrepancies=(record,))])
    await world.restart()


async def reconcile_fails(world: World) -> None:
    """The broker's lists cannot be read."""
    arm(world, FaultKind.ANSWER_STATUS, method="GET", path="/v2/account", status=500)
    assert not await world.reconcile()


async def never_reconciled(world: World) -> None:
    """The server was started again, and the account has not been compared with its broker since."""
    arm(world, FaultKind.LOSE_REQUEST, method="GET", path="/v2/account")
    await world.kill()
    await world.start(is_ready=False)


async def disk_is_low(world: World) -> None:
    """Less is free than the operator wants to keep."""
    world.alive.workers.submitter._min_free_bytes = 1 << 62
    await asyncio.sleep(2)


async def stream_is_down(world: World) -> None:
    """Nothing is heard from the broker unasked."""
    arm(world, FaultKind.REFUSE_UPGRADE)
    for session in [*world.face.sessions.values()]:
        session.kick(1006)
    await asyncio.sleep(1)
    assert not world.alive.workers.account.stream_connected


async def entries_have_used_the_budget(world: World) -> None:
    """Everything that entries may have of this minute is gone."""
    for number in range(40):
        symbol = ("F", "AMD", "SPY", "QQQ")[number % 4]
        await world.submit(client_order_id=f"entry-{number}", symbol=symbol, limit_price="0.5")
    await asyncio.sleep(1)


async def lookups_have_used_the_budget(world: World) -> None:
    """A dozen outcomes are not known, and all that lookups may have of this minute is gone."""
    arm(world, FaultKind.ANSWER_STATUS, method="POST", status=504, is_accepted=False)
    arm(world, FaultKind.ANSWER_STATUS, method="GET", path="/v2/orders:", status=500)
    for number in range(12):
        await world.submit(client_order_id=f"lost-{number}", symbol=f"S{number}", limit_price="0.5")
    await asyncio.sleep(30)


async def submits_are_not_answered(world: World) -> None:
    """Every place a submit may have is taken by one that hangs."""
    arm(world, FaultKind.HOLD_ANSWER, method="POST", barrier="hang")
    for number in range(4):
        await world.submit(client_order_id=f"hang-{number}", symbol=("F", "AMD", "SPY", "QQQ")[number])


async def clock_jumps(world: World) -> None:
    """The wall clock is a day ahead."""
    world.clock.skew = timedelta(days=1)


async def server_is_leaving(world: World) -> None:
    """SIGTERM has come: nothing new is begun."""
    world.alive.workers.account.stopping.set()


@dataclass(frozen=True)
class Row:
    """One way in which things are not well."""

    begins: Callable[[World], Awaitable[None]]
    submit: str
    """What becomes of a submit: the reason of its refusal, the state it gets, or where it stays."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    per_minute: int = 1_000_000


MODES: Mapping[str, Row] = {
    "queue full": Row(queue_is_full, "QUEUE_FULL", {"queue_limit": 5, "submit_timeout_s": 30}),
    "account halted": Row(halted, "DENIED"),
    "reconcile failed": Row(reconcile_fails, TAKEN),
    "account recovering": Row(never_reconciled, "ACCOUNT_RECOVERING"),
    "disk low": Row(disk_is_low, "DISK_LOW"),
    "stream down": Row(stream_is_down, TAKEN),
    "budget used up by entries": Row(entries_have_used_the_budget, STUCK, {"submit_timeout_s": 10}, 30),
    "budget used up by lookups": Row(lookups_have_used_the_budget, "SUBMITTED", {"submit_timeout_s": 10}, 100),
    "submits hang": Row(submits_are_not_answered, STUCK, {"submit_timeout_s": 30}),
    "clock a day ahead": Row(clock_jumps, TAKEN),
    "server leaving": Row(server_is_leaving, "DRAINING"),
}


@pytest.mark.parametrize("row", MODES.values(), ids=MODES.keys())
def test_cancel_works_whatever_is_wrong(tmp_path: Path, row: Row, reached: Reached) -> None:
    async def main() -> None:
        policy = {"parallel_submits": 4, "reconcile_interval_s": 300, **row.policy}
        venue = {"requests_per_minute": min(row.per_minute, 10_000)}
        world = World(tmp_path, 3, venue_options=venue, policy=policy, requests_per_minute=row.per_minute)
        await world.start()
        working = [(await world.submit(client_order_id=f"w-{n}", limit_price="0.5"))[0] for n in range(3)]
        await until(world, lambda: all(state(world, order_id) == "ACCEPTED" for order_id in working))
        await row.begins(world)
        unsent = await submitted(world, row.submit)
        await canceled(world, working[0])
        if unsent:
            posts = world.face.venue.ledger.received
            await canceled(world, unsent)
            assert "probe" not in {request.client_order_id for request in posts}, "what was not sent is never sent"
        results = await world.alive.engine.cancel_all(CancelAllAsk(account_id=ACCOUNT))
        assert all(not result.error_reason for result in results)
        await until(world, lambda: {state(world, order_id) for order_id in working} == {"CANCELED"})
        await world.kill()
        reached("P10", "degraded modes in which cancel and cancel-all work", 1)

    run_virtual(main)


async def submitted(world: World, expected: str) -> str:
    """A submit in this mode ends as the row says. Returns the order's id when it is on record and was not sent."""
    symbol = "KO" if expected == STUCK else "MSFT"
    try:
        order_id, _ = await world.submit(client_order_id="probe", symbol=symbol, limit_price="0.5")
    except EngineError as error:
        assert error.reason == expected
        return ""
    await asyncio.sleep(0.5)
    if expected == TAKEN:
        order = world.alive.journal.load(order_id)
        assert order is not None
        assert order.links, "the broker has it"
        return ""
    assert state(world, order_id) == ("CREATED" if expected == STUCK else expected)
    return order_id if expected == STUCK else ""


async def canceled(world: World, order_id: str) -> None:
    """Cancel it: answered in no time, and ended in a few seconds."""
    asked = asyncio.get_running_loop().time()
    await world.alive.engine.cancel(OrderRef(order_id=order_id), reason="", wait=Wait.JOURNAL, timeout_s=5)
    assert asyncio.get_running_loop().time() - asked < 0.1
    await until(world, lambda: state(world, order_id) == "CANCELED")


async def until(world: World, is_true: Callable[[], bool]) -> None:
    """Wait for it in virtual time."""
    async with asyncio.timeout(WITHIN_S):
        while not is_true():  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.01)


def state(world: World, order_id: str) -> str:
    """The order's state as the engine knows it."""
    order = world.alive.journal.load(order_id)
    assert order is not None
    return order.state.value
