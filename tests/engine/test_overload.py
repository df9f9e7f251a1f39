"""Ten times more than the broker takes, and a broker that is gone: bounded, refused in time, and cancels first.

All in virtual time, against a venue that counts requests as Alpaca does: 200 in a minute, the next one gets 429.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orderd.engine.api import CancelAllAsk
from orderd.engine.errors import EngineError, Kind
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.ledger import Received
from tests.e2e.books import state_of
from tests.engine.world import ACCOUNT, World
from tests.reach import Reached, patience, scaled

LIMIT = 200
BURST_A_SECOND = 10 * LIMIT / 60
SYMBOLS = ("KO", "F", "AMD", "AAPL", "MSFT", "SPY")
ORDERS = "/v2/orders"


def world_of(directory: Path, seed: int) -> World:
    """The defaults of a configured account, but for a queue that the burst can fill."""
    return World(
        directory,
        seed,
        venue_options={"requests_per_minute": LIMIT},
        policy={"queue_limit": 100, "submit_timeout_s": 10, "reconcile_interval_s": 30},
        requests_per_minute=LIMIT,
    )


def received(world: World, method: str = "", path: str = "") -> list[Received]:
    """What the venue was asked, oldest first."""
    return [
        row for row in world.face.venue.ledger.received if row.method.startswith(method) and row.path.startswith(path)
    ]


class Burst:
    """Callers that submit ten times what the broker takes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.taken: list[str] = []
        self.refused: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Submit at an even pace; what is refused says when to come again, and has recorded nothing."""
        for number in range(round(seconds * BURST_A_SECOND)):
            key = f"burst-{number}"
            try:
                order_id, _ = await self.world.submit(
                    client_order_id=key, symbol=SYMBOLS[number % len(SYMBOLS)], limit_price="0.5"
                )
                self.taken.append(order_id)
            except EngineError as error:
                assert (error.kind, error.reason) == (Kind.EXHAUSTED, "QUEUE_FULL")
                assert error.retry_after_s is not None
                assert self.world.alive.journal.find_key(ACCOUNT, key) is None
                self.refused[error.reason] += 1
            await asyncio.sleep(1 / BURST_A_SECOND)


async def cancel_now_and_then(world: World, order_ids: list[str], every_s: float) -> list[float]:
    """Cancel one after the other; how long each took to reach the venue, in seconds."""
    took: list[float] = []
    for order_id in order_ids:
        await asyncio.sleep(every_s)
        asked, known = world.clock.now(), len(received(world, "DELETE"))
        await world.cancel(order_id)
        async with asyncio.timeout(60):
            while len(received(world, "DELETE")) == known:  # noqa: ASYNC110 - the venue rings no bell
                await asyncio.sleep(0.01)
        took.append((received(world, "DELETE")[known].at - asked).total_seconds())
    return took


async def cancel_everything(world: World) -> None:
    """CancelAll in the middle of it: answered at once, nothing is sent any more, and everything comes to its end."""
    sent, asked = len(received(world, "POST", ORDERS)), world.clock.now()
    results = await world.alive.engine.cancel_all(CancelAllAsk(account_id=ACCOUNT))
    assert (world.clock.now() - asked).total_seconds() < 1
    assert all(not result.error_reason for result in results)
    assert len(results) > 100
    await asyncio.sleep(60 * (2 + len(results) // LIMIT))
    assert len(received(world, "POST", ORDERS)) <= sent + 6, "what was on its way, and no more"
    assert {state_of(order) for order in world.orders()} <= {"CANCELED", "SUBMIT_FAILED"}


@pytest.mark.scaled
@pytest.mark.timeout(patience(600))
def test_a_burst_is_refused_in_time_and_cancels_pass_it(tmp_path: Path, reached: Reached) -> None:
    minutes = scaled(10)

    async def main() -> None:
        world = world_of(tmp_path, 1)
        await world.start()
        resting = [(await world.submit(client_order_id=f"r-{n}", limit_price="0.5"))[0] for n in range(3 * minutes)]
        await asyncio.sleep(30)
        burst = Burst(world)
        async with asyncio.TaskGroup() as group:
            group.create_task(burst.run(60 * minutes))
            cancels = group.create_task(cancel_now_and_then(world, resting, every_s=19))
        assert burst.refused["QUEUE_FULL"] > 0.8 * 60 * minutes * BURST_A_SECOND
        assert max(cancels.result()) < 1, "in seconds, past everything that is queued"
        age_ns = world.clock.monotonic_ns() - (world.alive.workers.account.reconciled_ns or 0)
        assert age_ns < 90e9, "the account is compared with its broker all the while"
        assert max(order.version for order in world.orders()) < 25, "waiting writes no endless story"
        await cancel_everything(world)
        rows = received(world)
        assert {row.status for row in rows} <= {200, 204}, "a 429 is never provoked"
        by_minute = Counter(int(row.at.timestamp()) // 60 for row in rows)
        assert max(by_minute.values()) <= LIMIT
        assert len(received(world, "POST", ORDERS)) > 100 * minutes, "what may be used is used"
        assert world.disagreements() == {}
        await world.kill()
        reached("P13", "submits in a burst of ten times the rate, refused in time", burst.refused.total())
        reached("P13", "requests at a broker that allows 200 a minute, none answered 429", len(rows))
        reached("P10", "cancels that passed a full queue within a second", len(resting))

    run_virtual(main)


OUTAGES: dict[str, Mapping[str, Any]] = {
    "requests get lost": {"kind": FaultKind.LOSE_REQUEST},
    "answers get lost": {"kind": FaultKind.LOSE_ANSWER},
    "no answer ever": {"kind": FaultKind.HOLD_ANSWER, "delay_ms": 3_600_000},
    "503": {"kind": FaultKind.ANSWER_STATUS, "status": 503, "is_accepted": False},
    "429": {"kind": FaultKind.ANSWER_STATUS, "status": 429, "is_accepted": False},
    "500 although accepted": {"kind": FaultKind.ANSWER_STATUS, "status": 500},
}
"""What a broker that is gone may look like from here."""


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())
def test_a_broker_that_is_gone_for_a_minute_is_not_stormed(
    tmp_path: Path, outage: Mapping[str, Any], reached: Reached
) -> None:
    """Cancels, unknown outcomes, unsent orders, a stream that is down and reconciliations all would ask at once."""

    async def main() -> None:
        world = world_of(tmp_path, 2)
        await world.start()
        resting = [(await world.submit(client_order_id=f"r-{n}", limit_price="0.5"))[0] for n in range(30)]
        await asyncio.sleep(70)
        known = len(received(world))
        faults = world.face.venue.faults
        faults.arm(Fault(**{**outage, "times": 0}))
        faults.arm(Fault(kind=FaultKind.REFUSE_UPGRADE, times=0))
        for session in [*world.face.sessions.values()]:
            session.kick(1012)
        for number in range(30):
            await world.submit(client_order_id=f"o-{number}", symbol=SYMBOLS[number % len(SYMBOLS)], limit_price="0.5")
        for order_id in resting[:10]:
            await world.cancel(order_id)
        await asyncio.sleep(60)
        rows = received(world)[known:]
        assert 10 < len(rows) <= LIMIT
        assert {row.path for row in rows if row.method == "DELETE"} >= {f"{ORDERS}/{name}" for name in names(world, 10)}
        assert max(Counter((row.method, row.path, row.client_order_id) for row in rows).values()) <= 12
        knocks = sum(fired.kind is FaultKind.REFUSE_UPGRADE for fired in faults.fired)
        assert 5 < knocks < 60, "times that the stream was tried again"
        assert max(order.version for order in world.orders()) <= 15
        faults.clear()
        await asyncio.sleep(240)
        assert world.disagreements() == {}
        assert "UNKNOWN" not in {state_of(order) for order in world.orders()}
        placed = Counter(order.client_order_id for order in world.face.venue.ledger.orders.values())
        assert max(placed.values()) == 1, "no intent is there twice"
        await world.kill()
        reached("P13", "requests in a minute without a broker, within its budget", len(rows))

    run_virtual(main)


def names(world: World, count: int) -> list[str]:
    """The broker's ids of the first orders."""
    return [order.broker_order_id for order in world.orders()[:count]]
