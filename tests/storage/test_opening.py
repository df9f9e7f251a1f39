"""Opening a journal: what is refused, in which words, and that refusing harms nobody."""

# ruff: noqa: ASYNC240 - nothing else runs on these loops

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from orderd.core.values import ClientOrderId
from orderd.storage import (
    JournalFileError,
    JournalLockedError,
    JournalSchemaError,
    JournalUnsafeError,
    JournalUrlError,
    OpenError,
    connect,
    open_journal,
)
from orderd.storage.connect import open_async, open_reader, open_writer
from orderd.storage.location import path_of
from orderd.system import SystemClock, SystemIds
from tests.storage.conftest import Opening
from tests.storage.making import submitted_order

ROOT = Path(__file__).resolve().parents[2]


# ------------------------------------------------------------------------------------------------------------- the URL


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite+aiosqlite:///orderd.db", "orderd.db"),
        ("sqlite+aiosqlite:////var/lib/orderd/orderd.db", "/var/lib/orderd/orderd.db"),
        ("sqlite:///state/orderd.db", "state/orderd.db"),
        ("sqlite+aiosqlite:///with%20space.db", "with space.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert path_of(url) == Path(path)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not a database URL"),
        ("orderd.db", "not a database URL"),
        ("postgresql+asyncpg://localhost/orderd", "not in this build yet"),
        ("postgres://localhost/orderd", "not in this build yet"),
        ("mysql://localhost/orderd", "no journal speaks 'mysql'"),
        ("sqlite+pysqlite:///orderd.db", "no journal speaks"),
        ("sqlite+aiosqlite://orderd.db", "names no host"),
        ("sqlite+aiosqlite://host/orderd.db", "names no host"),
        ("sqlite+aiosqlite:///", "in memory"),
        ("sqlite+aiosqlite:///:memory:", "in memory"),
        ("sqlite+aiosqlite:///orderd.db?mode=ro", "takes no options"),
    ],
)
async def test_any_other_url_is_refused_in_words(url: str, why: str) -> None:
    with pytest.raises(JournalUrlError, match=why):
        await open_journal(url, clock=SystemClock(), ids=SystemIds())


# ------------------------------------------------------------------------------------------------------------ the file


async def test_a_directory_is_no_journal(opening: Opening, tmp_path: Path) -> None:
    with pytest.raises(JournalFileError, match="is a directory"):
        await opening(tmp_path)


async def test_a_missing_directory_is_not_made(opening: Opening, tmp_path: Path) -> None:
    with pytest.raises(JournalFileError, match="create it first"):
        await opening(tmp_path / "nowhere" / "orderd.db")
    assert not (tmp_path / "nowhere").exists()


async def test_a_pipe_is_no_journal(opening: Opening, database: Path) -> None:
    os.mkfifo(database)
    with pytest.raises(JournalFileError, match="not a regular file"):
        await opening()


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_what_cannot_be_written_is_refused(
    opening: Opening, database: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The superuser may write anywhere, so the answer of the system is what is staged here."""
    database.touch()
    refused = database if what == "file" else database.parent
    monkeypatch.setattr(os, "access", lambda path, _mode: path != refused)
    with pytest.raises(JournalFileError, match="read-only" if what == "file" else "not writable"):
        await opening()


async def test_a_file_that_is_no_database_is_left_as_it_is(opening: Opening, database: Path) -> None:
    database.write_bytes(b"dear diary, " * 1000)
    with pytest.raises(JournalFileError, match="not a database"):
        await opening()
    assert database.read_bytes() == b"dear diary, " * 1000


async def test_a_database_of_something_else_is_left_as_it_is(opening: Opening, database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = database.read_bytes()
    with pytest.raises(JournalSchemaError, match="something else"):
        await opening()
    assert database.read_bytes() == before


async def test_an_empty_file_becomes_a_journal(opening: Opening, database: Path) -> None:
    database.touch()
    assert (await opening()).head == 0


# ------------------------------------------------------------------------------------------------------------ the lock


async def test_a_second_server_leaves_at_once_and_the_first_goes_on(opening: Opening, database: Path) -> None:
    journal = await opening()
    await journal.append([submitted_order(client_order_id=ClientOrderId("before"))])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-m", "tests.storage.victim", "hold", str(database)]
    started = time.monotonic()
    second = subprocess.run(  # noqa: ASYNC221 - the first server has nothing to do meanwhile
        command, capture_output=True, env=environment, cwd=ROOT, text=True, check=False
    )
    assert time.monotonic() - started < 2 + _start_up_s()
    assert second.returncode == 1
    assert f"JournalLockedError: {database}.lock is held by process {os.getpid()}" in second.stdout
    await journal.append([submitted_order()])
    assert journal.find_key("paper", "before") is not None
    assert journal.head == 4


def _start_up_s() -> float:
    """How long the interpreter itself takes here, with what the victim imports."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import tests.storage.victim"], env=environment, cwd=ROOT, check=True)
    return time.monotonic() - started


async def test_the_lock_is_free_again_after_closing_and_after_a_failed_opening(
    opening: Opening, database: Path
) -> None:
    journal = await opening()
    with pytest.raises(JournalLockedError) as caught:
        await opening()
    assert (caught.value.path, caught.value.pid) == (database.with_name("orderd.db.lock"), str(os.getpid()))
    await journal.close()
    await (await opening()).close()
    other = database.with_name("other.db")
    other.write_bytes(b"x" * 4096)
    with pytest.raises(OpenError):
        await opening(other)
    other.unlink()
    await opening(other)


async def test_the_holder_is_named_even_when_its_name_is_not_known(opening: Opening, database: Path) -> None:
    await opening()
    database.with_name("orderd.db.lock").write_text("")
    with pytest.raises(JournalLockedError, match="another process"):
        await opening()


# ---------------------------------------------------------------------------------------------------- what must hold


async def test_every_kind_of_connection_is_durable(database: Path) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    for opener in (open_writer, open_reader):
        with closing(opener(database)) as connection:
            assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    for is_writer in (True, False):
        asynchronous = await open_async(database, is_writer=is_writer)
        rows = {name: next(iter(await asynchronous.execute_fetchall(f"PRAGMA {name}")))[0] for name in wanted}
        await asynchronous.close()
        assert rows == wanted


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        ("PRAGMA synchronous=FULL", "synchronous=1"),
        ("PRAGMA foreign_keys=ON", "foreign_keys=0"),
        ("PRAGMA journal_mode=WAL", "journal_mode='delete'"),
    ],
)
async def test_a_setting_that_does_not_hold_is_refused(
    opening: Opening, monkeypatch: pytest.MonkeyPatch, spoiled: str, why: str
) -> None:
    """Leave each out in turn, as a build or a file system that ignores it would."""
    replaced = "PRAGMA synchronous=NORMAL" if "synchronous" in spoiled else "PRAGMA user_version"
    for name in ("READING", "WRITING"):
        pragmas: tuple[str, ...] = getattr(connect, name)
        monkeypatch.setattr(connect, name, tuple(replaced if pragma == spoiled else pragma for pragma in pragmas))
    with pytest.raises(JournalUnsafeError, match=why):
        await opening()


async def test_the_wrong_answer_of_any_single_connection_is_refused(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The readers alone would do NORMAL: nothing they do is durable, and still nobody starts."""
    await (await opening()).close()
    monkeypatch.setattr(connect, "READING", ("PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON"))
    with pytest.raises(JournalUnsafeError, match="synchronous"):
        await opening()


async def test_a_reader_cannot_write(opening: Opening, database: Path) -> None:
    await opening()
    with closing(open_reader(database)) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM orders")


async def test_a_name_with_odd_characters_is_the_file_it_names(tmp_path: Path) -> None:
    odd = tmp_path / "o rder#d%41?.db"
    url = "sqlite+aiosqlite:///" + str(odd).replace("%", "%25").replace("#", "%23").replace("?", "%3F")
    journal = await open_journal(url, clock=SystemClock(), ids=SystemIds())
    await journal.append([submitted_order()])
    assert len(await journal.events_after(0, limit=5)) == 2
    await journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [odd.name, f"{odd.name}.lock"]


async def test_no_room_for_the_tables_is_said_in_words(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "WRITING", (*connect.WRITING, "PRAGMA max_page_count=5"))
    with pytest.raises(JournalFileError, match="full"):
        await opening()
    monkeypatch.undo()
    assert (await opening()).head == 0


async def test_a_lock_file_that_cannot_be_opened_is_said_in_words(opening: Opening, database: Path) -> None:
    database.with_name("orderd.db.lock").mkdir()
    with pytest.raises(JournalFileError, match="lock file"):
        await opening()
