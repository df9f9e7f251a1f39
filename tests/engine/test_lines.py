"""What stands in line behind an order of its symbol: when it is written, when it leaves, and what waits for company."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from oms.v1 import order_pb2 as opb
from orderd.brokers.alpaca.client import Request
from orderd.core.turnstiles import Recorded
from orderd.engine.api import Wait
from orderd.ports import Append, Entry
from orderd.system import run_virtual
from orderd.wire.messages import order_event
from tests.engine.seams import Watcher
from tests.engine.world import World

KEYS = tuple(f"n-{number:02}" for number in range(20))
WRITTEN, RECEIVED = "SUBMITTED", "received by the broker"


class Commits:
    """What each commit told, oldest first."""

    def __init__(self, world: World) -> None:
        self.told: list[list[opb.OrderEvent]] = []
        world.alive.journal.listen(self._hear)

    def _hear(self, entries: Sequence[Entry]) -> None:
        self.told.append([order_event(entry.data) for entry in entries if not entry.is_desk])

    def place(self, order_id: str, what: str) -> int:
        """The number of the commit that told it first."""
        return next(n for n, told in enumerate(self.told) if any(_says(event, order_id, what) for event in told))


def _says(event: opb.OrderEvent, order_id: str, what: str) -> bool:
    is_received = bool(event.order.broker_order_id)
    is_so = is_received if what == RECEIVED else event.to_status == opb.ORDER_STATUS_SUBMITTED
    return event.order_id == order_id and is_so


class Leaving(Watcher):
    """What was sent, and how many commits had been told by then."""

    def __init__(self, commits: Commits) -> None:
        self.seen: list[tuple[str, int]] = []
        self._commits = commits

    @classmethod
    def of(cls, world: World, commits: Commits) -> "Leaving":
        """Look on from now on."""
        world.watcher = looking = cls(commits)
        return looking

    def sending(self, account_id: str, request: Request) -> None:
        if request.method == "POST":
            self.seen.append((request.body.decode(), len(self._commits.told)))


async def submit_all(world: World, wait: Wait) -> list[str]:
    """Twenty orders of one symbol at once; their ids, in their order."""
    calls = [world.submit(client_order_id=key, limit_price="0.5", wait=wait) for key in KEYS]
    return [order_id for order_id, _ in await asyncio.gather(*calls)]


def live(directory: Path, story: Callable[[World], Awaitable[None]]) -> None:
    """Run it in virtual time, against the venue."""

    async def whole() -> None:
        world = World(directory, 5)
        await world.start()
        await story(world)
        await world.kill()

    run_virtual(whole)


@pytest.mark.parametrize("is_awaited", [True, False])
def test_the_next_in_line_is_written_with_the_receipt_before_it_when_somebody_waits(
    tmp_path: Path, *, is_awaited: bool
) -> None:
    """One commit instead of two for each order of a symbol. Where nobody waits, commits are left to those who do."""

    async def story(world: World) -> None:
        commits, wait = Commits(world), Wait.BROKER if is_awaited else Wait.JOURNAL
        ids = await submit_all(world, wait)
        await asyncio.sleep(1)
        received = [commits.place(order_id, RECEIVED) for order_id in ids[:-1]]
        written = [commits.place(order_id, WRITTEN) for order_id in ids[1:]]
        together = sum(one == other for one, other in zip(received, written, strict=True))
        assert together > len(received) // 2 if is_awaited else not together
        assert all(one <= other for one, other in zip(received, written, strict=True))

    live(tmp_path, story)


def test_nothing_of_a_line_leaves_before_what_is_ahead_of_it_is_answered_and_on_record(tmp_path: Path) -> None:
    """Twenty orders of one symbol, all waited for: the venue has them in their order, each after the last one's yes."""

    async def story(world: World) -> None:
        commits = Commits(world)
        seen = Leaving.of(world, commits).seen
        ids = await submit_all(world, Wait.BROKER)
        assert [next(key for key in KEYS if key in body) for body, _ in seen] == list(KEYS)
        for number in range(1, len(ids)):
            assert commits.place(ids[number - 1], RECEIVED) < seen[number][1], "the last one's yes was not on record"
            assert commits.place(ids[number], WRITTEN) < seen[number][1]

    live(tmp_path, story)


def test_only_a_receipt_that_nobody_waits_for_can_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        appends: list[Append] = []
        append = world.alive.journal.append

        def noting(given: Sequence[Append]) -> Awaitable[tuple[Recorded, ...]]:
            appends.extend(given)
            return append(given)

        monkeypatch.setattr(world.alive.journal, "append", noting)

        async def waiting(key: str, wait: Wait) -> list[tuple[str, bool]]:
            appends.clear()
            order_id, _ = await world.submit(client_order_id=key, limit_price="0.5", wait=wait)
            await asyncio.sleep(0.2)
            await world.cancel(order_id)
            world.pump()
            await asyncio.sleep(0.5)
            return [(one.order.state.value, one.can_wait) for one in appends if one.steps]

        alone = await waiting("a", Wait.JOURNAL)
        assert alone[:3] == [("SUBMITTED", False), ("SUBMITTED", True), ("ACCEPTED", False)]
        assert not any(can_wait for _, can_wait in alone[3:])
        awaited = await waiting("b", Wait.BROKER)
        assert awaited[:2] == [("SUBMITTED", False), ("SUBMITTED", False)]
        assert not any(can_wait for _, can_wait in awaited)

    live(tmp_path, story)
