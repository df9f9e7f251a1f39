"""Backups: one moment of a journal that goes on being written, and a way back that cannot be taken by mistake."""

# ruff: noqa: ASYNC240 - nothing else runs on these loops

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orderd.storage import JournalFileError, JournalLockedError, JournalSchemaError, OpenError, migrate
from orderd.storage.backup import JournalCopyError, back_up, restore
from orderd.storage.doctor import Check
from tests.reach import Reached, scaled
from tests.storage import desk_making
from tests.storage.conftest import Opening
from tests.storage.integrity import check, sound
from tests.storage.making import START, moment, submitted_order
from tests.storage.test_kill import ROOT

NOW = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)


def _ignore(_check: Check) -> None:
    """Nobody waits for it."""


async def _journal(opening: Opening, orders: int = 5) -> str:
    journal = await opening()
    await journal.append([submitted_order() for _ in range(orders)])
    await journal.close()
    return journal.journal_id


def _marks(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT name, value FROM marks").fetchall())


async def test_there_and_back(opening: Opening, database: Path, tmp_path: Path) -> None:
    name = await _journal(opening)
    copy, again = tmp_path / "copy.db", tmp_path / "again.db"
    told: list[Check] = []
    copied = back_up(database, copy, now=NOW, told=told.append)
    assert (copied.journal_id, copied.head, copied.size_bytes) == (name, 10, copy.stat().st_size)
    assert "chain" in {one.name for one in told}
    assert check(copy).head == 10
    made = restore(copy, again, journal_id="another", now=NOW, told=_ignore)
    assert (made.journal_id, made.head) == ("another", 10)
    journal = await opening(again)
    assert (journal.journal_id, journal.head) == ("another", 10)
    assert json.loads(await journal.mark("restored") or "") == {
        "journal_id": name,
        "head": 10,
        "since": START.isoformat(),  # its last event
        "time": NOW.isoformat(),
    }
    await journal.append([submitted_order()])
    await journal.close()
    assert check(again).head == 12
    left = sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith("orderd.db"))
    assert left == ["again.db", "again.db.lock", "copy.db"]


async def test_a_backup_is_not_served_by_mistake(opening: Opening, database: Path, tmp_path: Path) -> None:
    await _journal(opening)
    copy = tmp_path / "copy.db"
    back_up(database, copy, now=NOW, told=_ignore)
    before = copy.read_bytes()
    with pytest.raises(JournalFileError, match=r"is a backup.*orderd restore --from .*copy\.db"):
        await opening(copy)
    assert copy.read_bytes() == before
    assert "backup" in _marks(copy)


async def test_a_copy_of_an_upgrade_is_restored_too(opening: Opening, database: Path, tmp_path: Path) -> None:
    """Going back to the release before: its journal is a file like any other, without the mark of a backup."""
    await _journal(opening)
    again = tmp_path / "again.db"
    restore(database, again, journal_id="another", now=NOW, told=_ignore)
    assert set(_marks(again)) == {"restored"}


async def test_nothing_is_overwritten(opening: Opening, database: Path, tmp_path: Path) -> None:
    await _journal(opening)
    copy = tmp_path / "copy.db"
    back_up(database, copy, now=NOW, told=_ignore)
    before = (copy.read_bytes(), database.read_bytes())
    with pytest.raises(JournalFileError, match=r"copy\.db is there already"):
        back_up(database, copy, now=NOW, told=_ignore)
    with pytest.raises(JournalFileError, match=r"orderd\.db is there already"):
        restore(copy, database, journal_id="another", now=NOW, told=_ignore)
    assert (copy.read_bytes(), database.read_bytes()) == before
    beside = tmp_path / "gone.db-wal"  # (an empty one is what a reader leaves, and stands for nothing)
    beside.write_bytes(b"what a killed server had not moved yet")
    with pytest.raises(JournalFileError, match=r"gone\.db-wal is there already"):
        restore(copy, tmp_path / "gone.db", journal_id="another", now=NOW, told=_ignore)


async def test_a_journal_that_is_held_is_neither_replaced_nor_taken_for_a_backup(
    opening: Opening, database: Path, tmp_path: Path
) -> None:
    await _journal(opening)
    copy, live = tmp_path / "copy.db", tmp_path / "live.db"
    back_up(database, copy, now=NOW, told=_ignore)
    journal = await opening(live)
    with pytest.raises(JournalLockedError, match=f"held by process {os.getpid()}"):
        restore(copy, live, journal_id="another", now=NOW, told=_ignore)
    await journal.append([submitted_order()])
    with pytest.raises(JournalFileError, match="the journal of a server that runs"):
        restore(live, tmp_path / "again.db", journal_id="another", now=NOW, told=_ignore)
    await journal.close()


@pytest.mark.parametrize("what", ["missing", "directory", "text", "empty", "newer", "no-target"])
async def test_what_cannot_be_copied(opening: Opening, database: Path, tmp_path: Path, what: str) -> None:
    source, to = tmp_path / "source.db", tmp_path / "copy.db"
    match what:
        case "directory":
            source.mkdir()
        case "text":
            source.write_text("no database " * 1000, encoding="utf-8")
        case "empty":
            source.touch()
        case "newer":
            await _journal(opening)
            source = database
            with closing(sqlite3.connect(source, isolation_level=None)) as connection:
                connection.execute(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'")
        case "no-target":
            await _journal(opening)
            source, to = database, tmp_path / "nowhere" / "copy.db"
        case _:
            pass
    refusal = JournalSchemaError if what == "newer" else JournalFileError
    with pytest.raises(refusal):
        back_up(source, to, now=NOW, told=_ignore)
    with pytest.raises(refusal):
        restore(source, to, journal_id="another", now=NOW, told=_ignore)
    assert not to.exists()
    assert not list(tmp_path.glob("*.unfinished*"))


async def test_a_damaged_journal_makes_no_backup(opening: Opening, database: Path, tmp_path: Path) -> None:
    await _journal(opening)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE order_events SET body = zeroblob(9) WHERE sequence = 3")
    for make in (
        lambda to: back_up(database, to, now=NOW, told=_ignore),
        lambda to: restore(database, to, journal_id="another", now=NOW, told=_ignore),
    ):
        with pytest.raises(JournalCopyError, match=r"damaged, and was not kept \(chain: events 1 to 10"):
            make(tmp_path / "copy.db")
        assert not list(tmp_path.glob("copy*db")) + list(tmp_path.glob("*.unfinished*"))


@pytest.mark.scaled
async def test_copies_of_a_journal_that_is_being_written_are_whole(
    opening: Opening, database: Path, tmp_path: Path, reached: Reached
) -> None:
    """Another process copies while this one commits: each copy is one moment, and no commit waits for it."""
    journal = await opening()
    await journal.append([submitted_order() for _ in range(500)])
    heads: list[int] = []
    is_done = asyncio.Event()

    async def write() -> None:
        while not is_done.is_set():
            await journal.append([submitted_order()])

    count = scaled(20)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        for number in range(count):
            copy, before = tmp_path / f"copy-{number}.db", journal.head
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "orderd", "backup", "--database", str(database), "--to", str(copy)),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()
            assert process.returncode == 0, err.decode()
            heads.append(int(json.loads(out)["sequence"]))
            assert before <= heads[-1] <= journal.head
            assert journal.head > before, "the server stood still while it was copied"
            assert check(copy).head == heads[-1]
        is_done.set()
    sound(database)
    reached("P1", "backups of a journal under load, each whole and verified", count)


def shot(job: str, source: Path, directory: Path, steps: Sequence[int]) -> list[int]:
    """How each child ended that was to be shot at its step, up to the first that came through; see dying.py."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.storage.dying", job, str(source), str(directory), *map(str, steps)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [int(code) for code in ended.stdout.split()]


@pytest.mark.parametrize("job", ["backup", "restore"])
async def test_killed_while_it_copies_nothing_has_the_name_that_is_not_whole(
    opening: Opening, database: Path, tmp_path: Path, job: str, reached: Reached
) -> None:
    await _journal(opening)
    source = tmp_path / "source.db"
    back_up(database, source, now=NOW, told=_ignore)
    steps = range(1, 100)  # there are fewer
    codes = shot(job, database if job == "backup" else source, tmp_path, steps)
    assert codes == [-signal.SIGKILL] * (len(codes) - 1) + [0], "every step was the last one once"
    assert len(codes) > 20
    for number, code in zip(steps, codes, strict=False):
        to = tmp_path / f"to-{number}.db"
        assert code or to.exists()
        if not to.exists():  # the same again, to its end
            if number % 6:
                continue
            if job == "backup":
                back_up(database, to, now=NOW, told=_ignore)
            else:
                restore(source, to, journal_id="another", now=NOW, told=_ignore)
            assert not list(tmp_path.glob(f"{to.name}.unfinished*"))
        assert check(to).head == 10
    reached("P19", f"kills of a {job}, at every step it takes, nothing half made", codes.count(-signal.SIGKILL))


def test_every_refusal_is_for_the_operator() -> None:
    assert issubclass(JournalCopyError, OpenError)


async def test_what_was_traded_since_begins_with_the_last_event_also_when_it_is_the_desks(
    opening: Opening, database: Path, tmp_path: Path
) -> None:
    journal = await opening()
    await journal.append([submitted_order()])
    change = desk_making.made()
    await journal.record([desk_making.change_of(change.record, at=moment(77))])
    await journal.close()
    copy, again = tmp_path / "copy.db", tmp_path / "again.db"
    back_up(database, copy, now=NOW, told=_ignore)
    restore(copy, again, journal_id="another", now=NOW, told=_ignore)
    journal = await opening(again)
    assert json.loads(await journal.mark("restored") or "")["since"] == moment(77).isoformat()
    assert journal.load_record(change.record.record_id) is not None
    await journal.close()
    assert check(again).head == 3
