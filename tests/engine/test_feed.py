"""Reading on from a position: what was let go below a reader is told, never skipped."""

import asyncio
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from orderd.engine.feed import ENTRY_BYTES, WAKE_SLICE, JournalFeed
from orderd.engine.retention import Retention
from orderd.ports import CompactedError, Entry
from orderd.storage import InlineRunner, Runner, SqliteJournal, open_journal
from orderd.system import SystemClock, SystemIds, VirtualClock, run_virtual
from tests.storage.making import START, acknowledged, canceled, new, order, submitted

FAR = datetime(2100, 1, 1, tzinfo=UTC)


async def opened(folder: Path, orders: int, runner: Runner | None = None) -> SqliteJournal:
    """A journal with orders of four events each that are over."""
    url = f"sqlite+aiosqlite:///{folder}/orderd.db"
    journal = await open_journal(url, clock=SystemClock(), ids=SystemIds(), runner=runner)
    await journal.append([new(order(), submitted(), acknowledged(f"b-{n}"), canceled()) for n in range(orders)])
    return journal


async def compact(journal: SqliteJournal) -> None:
    """Let everything go."""
    done = await journal.begin_compaction(FAR)
    while not done.is_done:
        done = await journal.compact(done)


async def test_a_read_below_the_floor_names_it(tmp_path: Path) -> None:
    journal = await opened(tmp_path, 3)
    feed = JournalFeed(journal)
    assert feed.oldest == 0
    await compact(journal)
    assert feed.oldest == 12
    for after in (0, 11):
        with pytest.raises(CompactedError) as error:
            await feed.read(after, 10)
        assert error.value.oldest == 12
    assert list(await feed.read(12, 10)) == []
    await journal.append([new(order(), submitted())])
    assert [entry.sequence for entry in await feed.read(12, 10)] == [13, 14]
    await journal.close()


async def test_what_is_in_memory_below_the_floor_is_no_longer_read(tmp_path: Path) -> None:
    journal = await opened(tmp_path, 0)
    feed = JournalFeed(journal)
    await journal.append([new(order(), submitted(), acknowledged("b"), canceled()) for _ in range(3)])
    assert len(await feed.read(0, 100)) == 12
    await compact(journal)
    with pytest.raises(CompactedError):
        await feed.read(4, 100)
    await journal.close()


async def test_what_no_longer_fits_into_memory_is_read_from_the_table(tmp_path: Path) -> None:
    """The ring drops its older half again and again; from any position everything behind it comes, once."""
    journal = await opened(tmp_path, 0)
    feed = JournalFeed(journal, ring_bytes=8_000)
    for n in range(30):
        await journal.append([new(order(), submitted(), acknowledged(f"b-{n}"), canceled())])
        kept = [entry.data for entry in await journal.events_after(0, limit=1_000)]
        for after in range(0, len(kept), 3):
            assert [entry.data for entry in await feed.read(after, 1_000)] == kept[after:]
            assert [entry.data for entry in await feed.read(after, 5)] == kept[after : after + 5]
    assert len(kept) == 120
    assert feed._held < sum(map(len, kept)) / 4
    await journal.close()


async def test_rows_that_go_while_they_are_read_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's look at the floor comes first, then the whole compaction, then its snapshot of the table."""
    journal = await opened(tmp_path, 3)
    feed = JournalFeed(journal)
    plain = journal.events_after

    async def late(sequence: int, *, limit: int) -> Sequence[Entry]:
        await compact(journal)
        return await plain(sequence, limit=limit)

    monkeypatch.setattr(journal, "events_after", late)
    with pytest.raises(CompactedError):
        await feed.read(4, 10)
    await journal.close()


def test_the_server_lets_go_by_itself_every_hour(tmp_path: Path) -> None:
    """In virtual time: nothing before its day has come, then all of it, at most an hour late."""

    async def days() -> None:
        clock = VirtualClock(START)
        retention = Retention(journal := await opened(tmp_path, 60, InlineRunner(lambda: 0.001)), clock, keep_days=7)
        early = await retention.once()
        assert early is not None
        assert (early.floor, journal.floor) == (0, 0)
        await clock.sleep(7 * 86_400 + 1)
        done = await retention.once()
        assert done is not None
        assert (done.floor, done.events, done.is_done) == (240, 240, True)
        await journal.close()

    run_virtual(days)


async def test_memory_holds_the_latest_and_the_table_the_rest(tmp_path: Path) -> None:
    """What Python adds to small events counts, too; a reader does not notice where its events come from."""
    journal = await opened(tmp_path, 0)
    limit = 100_000
    feed = JournalFeed(journal, ring_bytes=limit)
    told: list[Entry] = []
    journal.listen(told.extend)
    for n in range(100):
        await journal.append([new(order(), submitted(), acknowledged(f"b-{n}"), canceled())])
    tracemalloc.start()
    held = [msgspec.structs.replace(entry, data=bytes(bytearray(entry.data))) for entry in told[:100]]
    assert tracemalloc.get_traced_memory()[0] < sum(len(entry.data) + ENTRY_BYTES for entry in held) * 1.2
    tracemalloc.stop()
    assert sum(len(entry.data) + ENTRY_BYTES for entry in await feed.read(feed.covered_from, 1_000)) <= limit
    assert 0 < feed.covered_from < 400
    heard: list[Entry] = []
    while len(heard) < 400:
        heard += await feed.read(heard[-1].sequence if heard else 0, 7)
    assert heard == told
    await journal.close()


@pytest.mark.parametrize("waiting", [1, 32, 33, 1_000])
def test_many_are_woken_a_few_at_a_time(tmp_path: Path, waiting: int) -> None:
    """In slices of 32, over 0.2 ms for each: between two slices the loop is everybody else's."""

    async def commit() -> None:
        journal = await opened(tmp_path, 0, InlineRunner(lambda: 0.001))
        feed = JournalFeed(journal)
        loop = asyncio.get_running_loop()
        woken: Counter[float] = Counter()

        async def listen() -> None:
            assert await feed.changed(0, 60)
            woken[round(loop.time(), 6)] += 1

        listeners = [asyncio.ensure_future(listen()) for _ in range(waiting)]
        await asyncio.sleep(0)
        await journal.append([new(order(), submitted())])
        committed = round(loop.time(), 6)
        await asyncio.gather(*listeners)
        assert max(woken.values()) <= WAKE_SLICE
        assert woken[committed] == min(waiting, WAKE_SLICE), "the first do not wait"
        assert max(woken) - committed <= waiting * 0.0002
        assert len(woken) == -(-waiting // WAKE_SLICE)
        await journal.close()

    run_virtual(commit)


def test_one_that_asks_late_is_not_woken_but_answered(tmp_path: Path) -> None:
    """Between the commit and its slice it is nobody's business that it had been waiting."""

    async def commit() -> None:
        journal = await opened(tmp_path, 0, InlineRunner(lambda: 0.001))
        feed = JournalFeed(journal)
        gone = [asyncio.ensure_future(feed.changed(0, 60)) for _ in range(100)]
        await asyncio.sleep(0)
        await journal.append([new(order(), submitted())])
        for listener in gone[::2]:
            listener.cancel()
        heard = await asyncio.gather(*gone, return_exceptions=True)
        assert heard[1::2] == [True] * 50
        assert all(isinstance(each, asyncio.CancelledError) or each for each in heard[::2])
        assert await feed.changed(0, 60)
        assert not await feed.changed(2, 0.01)
        await journal.close()

    run_virtual(commit)
