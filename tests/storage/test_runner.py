"""Group commit: what waits together is one transaction, one caller alone never waits, and the log stays short."""

import asyncio
import hashlib
import random
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from orderd.core.values import ClientOrderId
from orderd.ports import Entry, KeyTakenError
from orderd.storage import InlineRunner, SqliteJournal, ThreadRunner, open_journal, runner
from orderd.storage.checkpoint import URGENT_BYTES
from orderd.storage.writer import Call, Statement, Written
from orderd.system import SeededIds, VirtualClock, run_virtual
from tests.storage.conftest import Opening
from tests.storage.making import START, submitted_order


class Commits:
    """The sequences of each commit."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.batches: list[list[int]] = []
        journal.listen(self._add)

    def _add(self, entries: list[Entry] | tuple[Entry, ...]) -> None:
        self.batches.append([entry.sequence for entry in entries])


async def test_what_waits_together_is_one_transaction(opening: Opening) -> None:
    journal = await opening(runner=InlineRunner(lambda: 0.0))
    commits = Commits(journal)
    await asyncio.gather(*[journal.append([submitted_order()]) for _ in range(64)])
    assert [len(batch) for batch in commits.batches] == [128]
    await asyncio.gather(*[journal.append([submitted_order()]) for _ in range(runner.BATCH_CALLS + 1)])
    assert [len(batch) for batch in commits.batches] == [128, 2 * runner.BATCH_CALLS, 2]


async def test_the_thread_takes_everything_that_has_gathered(opening: Opening) -> None:
    journal = await opening()
    commits = Commits(journal)
    await asyncio.gather(*[journal.append([submitted_order()]) for _ in range(500)])
    assert sum(map(len, commits.batches)) == 1000
    assert len(commits.batches) <= 20
    assert max(map(len, commits.batches)) <= 2 * runner.BATCH_CALLS


class Held:
    """A writer that commits when it is let, so that what waits meanwhile is known."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.told: asyncio.Queue[Written] = asyncio.Queue()
        self._runner = ThreadRunner()
        self._is_writing = threading.Semaphore(0)
        self._may_end = threading.Semaphore(0)
        self._runner.start(self._write, self)

    def _write(self, calls: Sequence[Call]) -> Written:
        self.sizes.append(len(calls))
        self._is_writing.release()
        self._may_end.acquire()
        return Written(results=(), entries=(), changes=(), head=0, rows=0)

    def committed(self, written: Written) -> None:
        self.told.put_nowait(written)

    def failed(self, error: Exception) -> None:
        raise error

    def put(self, calls: int, *, can_wait: bool = False) -> None:
        for _ in range(calls):
            self._runner.put(Statement("SELECT 1", (), can_wait))

    async def begin(self, calls: int) -> None:
        """So many come, and the writer has begun with what it took of them."""
        self.put(calls)
        await asyncio.to_thread(self._is_writing.acquire)

    async def end(self, calls: int = 0) -> None:
        """So many come while it writes; then it ends, and has begun with those."""
        self.put(calls)
        self._may_end.release()
        await self.told.get()
        if calls:
            await asyncio.to_thread(self._is_writing.acquire)

    async def stop(self) -> None:
        await self._runner.stop()


async def test_one_caller_alone_is_never_made_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(runner.time, "sleep", slept.append)
    held = Held()
    for _ in range(20):
        await held.begin(1)
        await held.end()
    assert (held.sizes, slept) == ([1] * 20, [])
    await held.begin(1)
    await held.end(64)
    await held.end(64)
    assert (held.sizes[20:], slept) == ([1, 64, 64], []), "those that come together need not be waited for"
    await held.end(2)
    assert (held.sizes[23:], slept) == ([2], [runner.GATHER_S]), "a step that brings nobody is the last"
    assert runner.GATHER_S <= 0.001
    await held.end(1)
    await held.end()
    await held.begin(1)
    await held.end()
    assert (held.sizes[24:], len(slept)) == ([1, 1], 1), "two are no crowd"
    await held.stop()


async def test_what_can_wait_goes_with_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 30)
    held = Held()
    held.put(1, can_wait=True)
    await asyncio.sleep(0.05)
    assert held.sizes == [], "it is kept back while nothing else comes"
    await held.begin(1)
    assert held.sizes == [2], "and goes with the first that does"
    held.put(1, can_wait=True)
    await held.end(1)
    assert held.sizes == [2, 2], "what has come already is not waited for"
    await held.end()
    held.put(1, can_wait=True)
    await asyncio.sleep(0.05)
    stopping = asyncio.ensure_future(held.stop())
    await held.begin(0)
    assert held.sizes == [2, 2, 1], "an end writes it at once"
    await held.end()
    await stopping


async def test_what_can_wait_does_not_wait_for_long() -> None:
    assert runner.PATIENCE_S <= 0.002
    held = Held()
    for _ in range(3):
        held.put(1, can_wait=True)
        await held.begin(0)
        await held.end()
    assert held.sizes == [1, 1, 1]
    await held.stop()


async def test_after_a_crowd_the_next_gather_until_as_many_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    await held.begin(1)
    await held.end(64)
    late = [0, 5, 3]

    def arrive(_: float) -> None:
        held.put(late.pop())

    monkeypatch.setattr(runner.time, "sleep", arrive)
    await held.end(2)
    assert (held.sizes, late) == ([1, 64, 10], [])
    await held.end()
    await held.stop()


async def test_a_key_taken_in_a_crowd_costs_the_others_nothing(opening: Opening) -> None:
    journal = await opening(runner=InlineRunner(lambda: 0.0))
    commits = Commits(journal)
    same = [submitted_order(client_order_id=ClientOrderId("same")) for _ in range(2)]
    others = [submitted_order() for _ in range(62)]
    results = await asyncio.gather(*[journal.append([a]) for a in (*same, *others)], return_exceptions=True)
    assert [type(result) for result in results[:2]] == [tuple, KeyTakenError]
    assert commits.batches == [list(range(1, 127))]


def _simulated(path: Path, seed: int) -> str:
    """A day of a simulated journal: everything that any listener heard, as one hash."""
    told = hashlib.sha256()

    async def live() -> None:
        threads = threading.active_count()
        chance = random.Random(seed)
        simulated = InlineRunner(lambda: chance.random() / 100)
        clock = VirtualClock()
        ids = SeededIds(seed, clock.now)
        journal = await open_journal(f"sqlite:///{path}", clock=clock, ids=ids, runner=simulated)
        journal.listen(lambda entries: told.update(b"|".join(entry.data for entry in entries)))

        async def caller(number: int) -> None:
            for turn in range(5):
                await asyncio.sleep(chance.random() / 50)
                name = f"{number}-{turn}"
                append = submitted_order(order_id=f"o-{name}", client_order_id=f"k-{name}", created_time=START)
                await journal.append([append])
                await journal.events_after(0, limit=10)

        await asyncio.gather(*(caller(number) for number in range(10)))
        assert threading.active_count() == threads, "a simulation has no threads"
        told.update(str(journal.head).encode())
        await journal.close()

    run_virtual(live)
    return told.hexdigest()


def test_a_simulated_journal_is_the_same_again_for_the_same_seed(tmp_path: Path) -> None:
    first, again, other = (_simulated(tmp_path / f"{n}.db", seed) for n, seed in enumerate([1, 1, 2]))
    assert first == again
    assert first != other


async def test_the_log_stays_short_under_load_and_is_gone_after_closing(opening: Opening, database: Path) -> None:
    journal = await opening()
    log = database.with_name("orderd.db-wal")
    longest = written = 0
    text = "x" * 4_000
    for _ in range(40):
        results = await asyncio.gather(*[journal.append([submitted_order(strategy=text)]) for _ in range(64)])
        written += sum(len(text) * 8 for _ in results)
        longest = max(longest, log.stat().st_size)
    assert written > 2 * URGENT_BYTES
    assert longest < URGENT_BYTES + 8 * 1024 * 1024
    await journal.close()
    assert not log.exists()


async def test_a_log_that_grows_while_a_checkpoint_runs_makes_the_writer_wait_for_it(
    opening: Opening, database: Path
) -> None:
    """A slow disk: the thread is in the middle of a checkpoint, and the log passes its limit meanwhile."""
    journal = await opening(runner=InlineRunner(lambda: 0.0))
    checkpointer = journal._parts.checkpointer
    with checkpointer._turn, database.with_name("orderd.db-wal").open("ab") as log:
        log.truncate(URGENT_BYTES + 1)
        writer = threading.Thread(target=checkpointer.between_batches, args=(1,))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive(), "it went on, and the log grows for as long as the checkpoint takes"
    writer.join(10)
    assert not writer.is_alive()


async def test_a_reader_that_stays_holds_the_log_back_only_while_it_stays(opening: Opening, database: Path) -> None:
    journal = await opening()
    await journal.append([submitted_order()])
    reader = sqlite3.connect(database, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM orders").fetchone()
    for _ in range(30):
        await asyncio.gather(*[journal.append([submitted_order(strategy="x" * 4_000)]) for _ in range(64)])
    reader.execute("ROLLBACK")
    reader.close()
    for _ in range(3):
        await asyncio.gather(*[journal.append([submitted_order(strategy="x" * 4_000)]) for _ in range(64)])
    assert database.with_name("orderd.db-wal").stat().st_size < URGENT_BYTES


def test_stopping_what_never_started_is_nothing() -> None:
    asyncio.run(ThreadRunner().stop())
    asyncio.run(InlineRunner(lambda: 0.0).stop())
