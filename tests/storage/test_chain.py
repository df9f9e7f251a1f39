"""The chain of commits: what was written is what is there, or the journal is not opened."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import StaticPool, create_engine

from orderd.ports import KeyTakenError
from orderd.storage import InlineRunner, JournalCorruptError, chain, migrate, open_journal
from orderd.storage.chain import ChainError, Position
from orderd.storage.connect import open_reader, open_writer
from orderd.system import SystemClock, SystemIds
from tests.reach import Reached
from tests.storage.conftest import Opening
from tests.storage.integrity import check
from tests.storage.making import accepted, order, submitted_order, then
from tests.storage.making import new as create


async def _journal_of_six_commits(opening: Opening) -> None:
    """Twelve events: 1-2, 3-4, … 11-12 are a commit each."""
    journal = await opening()
    for _ in range(6):
        await journal.append([submitted_order()])
    await journal.close()


def _change(path: Path, *statements: str) -> None:
    """Change it as a bad disk does, which leaves the time of a file alone: one with a new time is checked in whole."""
    before = path.stat()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _verified(path: Path) -> Position:
    """Verify all of it, as `orderd doctor` does."""
    with closing(open_reader(path)) as connection:
        meta = chain.read_meta(connection)
        assert meta is not None
        return chain.verify(connection, meta, meta.floor)


async def test_one_hash_a_commit_in_the_head_row_too(opening: Opening, database: Path) -> None:
    await _journal_of_six_commits(opening)
    with closing(sqlite3.connect(database)) as connection:
        hashed = connection.execute("SELECT sequence FROM order_events WHERE commit_hash IS NOT NULL").fetchall()
    assert [row[0] for row in hashed] == [2, 4, 6, 8, 10, 12]
    check(database)
    assert _verified(database).sequence == 12


async def test_a_batch_that_has_to_be_written_call_by_call_is_one_link(opening: Opening, database: Path) -> None:
    journal = await opening(runner=InlineRunner(lambda: 0.01))
    first = journal.append([create(order(client_order_id="same"))])
    second = journal.append([create(order(client_order_id="same"))])
    third = journal.append([submitted_order()])
    (kept,) = await first
    with pytest.raises(KeyTakenError):
        await second
    await third
    await journal.append([then(kept.order, accepted())])
    await journal.close()
    check(database)
    assert _verified(database).sequence == 4


DAMAGE = {
    "a bit of an event": (
        "UPDATE order_events SET body = CAST(substr(body, 1, 40) || x'00' || substr(body, 42) AS BLOB) "
        "WHERE sequence = 7",
        "events 7 to 8: not what was committed",
    ),
    "an event is missing": ("DELETE FROM order_events WHERE sequence = 7", "event 7: missing"),
    "the last commit is missing": ("DELETE FROM order_events WHERE sequence > 10", "events 11 to 12: missing"),
    "two events have changed places": (
        "UPDATE order_events SET body = (SELECT other.body FROM order_events other WHERE other.sequence = 15 - "
        "order_events.sequence) WHERE sequence IN (7, 8)",
        "events 7 to 8: not what was committed",
    ),
    "a hash is another one": (
        "UPDATE order_events SET commit_hash = zeroblob(32) WHERE sequence = 8",
        "events 7 to 8: not what was committed",
    ),
    "a hash is missing": (
        "UPDATE order_events SET commit_hash = NULL WHERE sequence = 8",
        "events 7 to 10: not what was committed",
    ),
    "the last hash is missing": (
        "UPDATE order_events SET commit_hash = NULL WHERE sequence = 12",
        "events 11 to 12: without the hash of their commit",
    ),
    "the head row is another journal's": (
        "UPDATE journal_meta SET head_hash = zeroblob(32)",
        "event 12: the head row has another hash",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_start_refuses_what_is_not_what_was_written_and_says_where(
    opening: Opening, database: Path, what: str, reached: Reached
) -> None:
    await _journal_of_six_commits(opening)
    statement, where = DAMAGE[what]
    _change(database, statement)
    with pytest.raises(JournalCorruptError, match=where) as refused:
        await opening()
    assert f"orderd doctor --database {database}" in str(refused.value)
    assert "orderd restore" in str(refused.value)
    with pytest.raises(ChainError, match=where):
        _verified(database)
    with pytest.raises(JournalCorruptError):  # nothing was changed and the lock is free: it is refused again
        await opening()
    reached("P1", "kinds of damage to the events, each refused by a start", 1)


async def test_an_event_that_was_put_in_behind_the_head_is_found(opening: Opening, database: Path) -> None:
    await _journal_of_six_commits(opening)
    _change(
        database,
        "INSERT INTO order_events SELECT 13, order_id, 99, body, zeroblob(32), 0 FROM order_events WHERE sequence = 12",
        "UPDATE journal_meta SET head_sequence = 13",
    )
    with pytest.raises(JournalCorruptError, match="event 13: not what was committed"):
        await opening()


async def test_a_start_verifies_what_was_added_since_the_last_one(opening: Opening, database: Path) -> None:
    await _journal_of_six_commits(opening)
    await (await opening()).close()
    _change(database, "UPDATE order_events SET body = zeroblob(9) WHERE sequence = 7")
    journal = await opening()  # was verified by the start before
    await journal.append([submitted_order()])
    await journal.close()
    with pytest.raises(ChainError, match="events 7 to 8"):
        _verified(database)
    _change(database, "UPDATE order_events SET body = zeroblob(9) WHERE sequence = 14")
    with pytest.raises(JournalCorruptError, match="events 13 to 14"):
        await opening()


class _SlowClock(SystemClock):
    """Each look at it takes 1.5 s of its time."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic_ns(self) -> int:
        self.looks += 1
        return int(self.looks * 1.5e9)


async def test_a_start_that_runs_out_of_time_goes_on_where_it_stopped(
    opening: Opening, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _journal_of_six_commits(opening)
    monkeypatch.setattr(chain, "PAGE_EVENTS", 3)  # a page may end inside a commit
    marks: list[int] = []
    for _ in range(12):
        journal = await open_journal(f"sqlite+aiosqlite:///{database}", clock=_SlowClock(), ids=SystemIds())
        await journal.close()
        with closing(sqlite3.connect(database)) as connection:
            marks.append(connection.execute("SELECT verified_sequence FROM journal_meta").fetchone()[0])
        if marks[-1] == 12:
            break
    assert marks[0] < 12
    assert marks == sorted(set(marks))
    assert marks[-1] == 12


async def test_a_journal_that_begins_behind_a_floor_is_verified_from_there(opening: Opening, database: Path) -> None:
    await _journal_of_six_commits(opening)
    keep = "(SELECT commit_hash FROM order_events WHERE sequence = 6)"
    _change(
        database,
        f"UPDATE journal_meta SET floor_sequence = 6, floor_hash = {keep}",
        "DELETE FROM order_events WHERE sequence <= 6",
    )
    assert _verified(database).sequence == 12
    await (await opening()).close()
    _change(database, "UPDATE journal_meta SET floor_hash = zeroblob(32), verified_sequence = 0")
    with pytest.raises(JournalCorruptError, match="events 7 to 8"):
        await opening()


@pytest.mark.parametrize("kept", [0, 4, 6, 8])
async def test_what_retention_removes_while_it_is_verified_is_passed_over(
    opening: Opening, database: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Below the floor the events of an order that is still open stay, between gaps."""
    await _journal_of_six_commits(opening)
    monkeypatch.setattr(chain, "PAGE_EVENTS", 2)
    with closing(open_reader(database)) as connection:
        meta = chain.read_meta(connection)
        assert meta is not None
        pages = iter([False, True])

        def removing() -> bool:
            if next(pages, False):
                keep = "(SELECT commit_hash FROM order_events WHERE sequence = 8)"
                _change(
                    database,
                    f"UPDATE journal_meta SET floor_sequence = 8, floor_hash = {keep}",
                    f"DELETE FROM order_events WHERE sequence <= 8 AND sequence NOT IN ({kept}, {kept} + 1)",
                )
            return False

        assert chain.verify(connection, meta, meta.floor, is_over=removing).sequence == 12


async def test_a_journal_from_before_the_chain_is_linked_by_its_migration(
    opening: Opening, database: Path, tmp_path: Path
) -> None:
    await _journal_of_six_commits(opening)
    old = tmp_path / "old.db"
    with closing(open_writer(old)) as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            migrate.upgrade(connection, "0001")
        engine.dispose()
    _change(
        old,
        f"ATTACH DATABASE '{database}' AS new",
        "INSERT INTO orders SELECT * FROM new.orders",
        "INSERT INTO order_events SELECT sequence, order_id, version, body FROM new.order_events",
        "INSERT INTO journal_meta SELECT 1, journal_id, head_sequence, created_us FROM new.journal_meta",
    )
    journal = await opening(old)
    assert journal.head == 12
    await journal.append([submitted_order()])
    await journal.close()
    assert check(old).head == 14
    assert _verified(old).sequence == 14


async def test_pages_that_sqlite_cannot_read_are_damage_too(opening: Opening, database: Path) -> None:
    await _journal_of_six_commits(opening)
    with closing(sqlite3.connect(database)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'order_events'").fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    with pytest.raises(JournalCorruptError, match=r"SQLite says .*malformed.*orderd doctor .*orderd restore"):
        await opening()
