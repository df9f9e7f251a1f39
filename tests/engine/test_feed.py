"""Reading on from a position: what was let go below a reader is told, never skipped."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orderd.engine.feed import JournalFeed
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
