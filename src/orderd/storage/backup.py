"""Copies of a journal that can be trusted, and the way back from one.

A backup is made by a process of its own, in one read of SQLite's backup interface: a snapshot as of one commit. The
server is not asked and does not wait; only its write-ahead log cannot begin again until the copy is read. Smaller steps
would begin anew after every commit of the server, and would never end on a busy one.

Rule 1: a copy has its name only when it is complete, synced and was examined.
Rule 2: a backup is marked as one, and no server opens it: what was traded since is not in it. `restore` makes a journal
of it: with another id, so that positions in the old one's stream are refused, and with a mark that says so.
"""

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from orderd.storage import location, statements
from orderd.storage.connect import read_only_uri
from orderd.storage.doctor import RESTORE, Check, Verdict, examine, holder
from orderd.storage.errors import JournalFileError, OpenError
from orderd.storage.lock import DatabaseLock
from orderd.storage.migrate import revision
from orderd.storage.prepare import EPOCH
from orderd.storage.records import recorded_time
from orderd.storage.schema import ORDER_EVENT

BACKUP_MARK: Final = "backup"
RESTORED_MARK: Final = "restored"

Told = Callable[[Check], None]


class Copied(msgspec.Struct, frozen=True):
    """What was copied."""

    journal_id: str
    head: int
    size_bytes: int


class JournalCopyError(OpenError):
    """The copy is not what it should be; nothing has its name."""


def back_up(journal: Path, to: Path, *, now: datetime, told: Told) -> Copied:
    """Copy the journal to a file that is not there yet, a server running or not. Raises OpenError.

    `told` hears of every check of the copy.
    """
    _readable(journal)
    _vacant(to)
    with _copy(journal, to) as copy:
        with closing(_writing(copy)) as connection:
            journal_id, head = _meta(copy, connection)
            _mark(connection, BACKUP_MARK, {"journal_id": journal_id, "head": head, "time": now.isoformat()})
            _make_single(connection)
        _examined(copy, told)
    return Copied(journal_id, head, to.stat().st_size)


def restore(backup: Path, journal: Path, *, journal_id: str, now: datetime, told: Told) -> Copied:
    """Make a journal of a backup, at a path where none is. Raises OpenError.

    `journal_id` is its new name. A server that opens it reconciles first, and takes up what was traded since.
    """
    _readable(backup)
    location.check(journal)
    if holder(backup) is not None:
        raise JournalFileError(f"{backup} is the journal of a server that runs, not a backup")
    lock = DatabaseLock.take(journal)
    try:
        _vacant(journal)
        with _copy(backup, journal) as copy:
            with closing(_writing(copy)) as connection:
                old_id, head = _meta(copy, connection)
                connection.execute("UPDATE journal_meta SET journal_id = ?", (journal_id,))
                connection.execute("DELETE FROM marks WHERE name = ?", (BACKUP_MARK,))
                lost = {"since": _last_recorded(connection).isoformat(), "time": now.isoformat()}
                _mark(connection, RESTORED_MARK, {"journal_id": old_id, "head": head, **lost})
                _make_single(connection)
            _examined(copy, told)
    finally:
        lock.free()
    return Copied(journal_id, head, journal.stat().st_size)


def refuse_backup(path: Path) -> None:
    """Keep a server from opening a backup as if nothing had been traded since. Raises JournalFileError."""
    if not path.is_file() or not revision(path):
        return
    with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
        if connection.execute(statements.IS_MARKED, (BACKUP_MARK,)).fetchone() is None:
            return
    raise JournalFileError(
        f"{path} is a backup: what was traded since it was made is not in it. Make a journal of it with "
        f"orderd restore --from {path} --database FILE"
    )


def _readable(path: Path) -> None:
    if not path.is_file():
        raise JournalFileError(f"{path} is not there, or is no file")
    if not revision(path):
        raise JournalFileError(f"{path} is not a journal: it has no tables")


def _vacant(path: Path) -> None:
    """Nothing is overwritten, ever: not a journal, and not what a journal left beside it."""
    if not path.parent.is_dir():
        raise JournalFileError(f"{path.parent} is not a directory; create it first")
    beside = [path.with_name(path.name + ending) for ending in ("-wal", "-journal")]
    taken = [each for each in beside if each.exists() and each.stat().st_size]  # an empty one is what a reader leaves
    if path.exists():
        taken = [path]
    if taken:
        raise JournalFileError(f"{taken[0]} is there already: it is not overwritten; move it away first")


@contextmanager
def _copy(source: Path, target: Path) -> Generator[Path]:
    """Copy beside the target; it gets its name when the block is through, and does not outlive a failure."""
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        _remove(unfinished)
        with (
            closing(sqlite3.connect(read_only_uri(source), uri=True)) as reading,
            closing(sqlite3.connect(unfinished)) as writing,
        ):
            reading.backup(writing)
        yield unfinished
        _sync(unfinished)
        _vacant(target)
        unfinished.rename(target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise JournalFileError(f"{source} cannot be copied to {target}: {error}") from error
    finally:
        _remove(unfinished)


def _remove(path: Path) -> None:
    for name in (path.name, path.name + "-wal", path.name + "-shm", path.name + "-journal"):
        path.with_name(name).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _writing(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def _meta(path: Path, connection: sqlite3.Connection) -> tuple[str, int]:
    row = connection.execute("SELECT journal_id, head_sequence FROM journal_meta").fetchone()
    if row is None:
        raise JournalCopyError(f"{path}: the journal has not begun; there is nothing to copy")
    return row[0], row[1]


def _last_recorded(connection: sqlite3.Connection) -> datetime:
    """When the last event was recorded: what is not in this journal was sent after it."""
    ((created_us,),) = connection.execute("SELECT created_us FROM journal_meta").fetchall()
    cursor = connection.execute("SELECT * FROM order_events ORDER BY sequence DESC LIMIT 1")
    last = cursor.fetchone()
    if last is None:
        return EPOCH + timedelta(microseconds=created_us)
    said = dict(zip([column[0] for column in cursor.description], last, strict=True))
    return recorded_time(said.get("kind", ORDER_EVENT), said["body"])  # a backup of an earlier release has no kinds


def _mark(connection: sqlite3.Connection, name: str, value: dict[str, str | int]) -> None:
    text = msgspec.json.encode(value).decode()
    connection.execute("INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)", (name, text))


def _make_single(connection: sqlite3.Connection) -> None:
    """Leave one file and nothing beside it; a server makes it write ahead again."""
    connection.execute("PRAGMA journal_mode=DELETE").fetchone()


def _examined(path: Path, told: Told) -> None:
    failed: list[Check] = []
    for check in examine(path, min_free_bytes=0):
        told(check)
        if check.verdict is Verdict.FAIL:
            failed.append(check)
    if failed:
        faults = "; ".join(f"{check.name}: {check.detail}" for check in failed)
        raise JournalCopyError(f"what was copied is damaged, and was not kept ({faults}); {RESTORE}")
