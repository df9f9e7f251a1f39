"""`orderd doctor`: everything that must be true of a journal, checked from its tables by another process.

Rule 1: nothing is changed, and no lock is held: a server may run, and may be started.
Rule 2: what can be large is read in short transactions, each of them one snapshot, so that the write-ahead log can be
moved meanwhile. Only SQLite's own check reads a whole table in one.
Rule 3: it goes on after a fault: the first one is seldom the only one.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from orderd.storage import statements
from orderd.storage.books import ORDER_COLUMNS, EventRow, FillRow, OrderRow, Record, faults
from orderd.storage.chain import ChainError, Meta, read_meta, verify
from orderd.storage.connect import read_only_uri
from orderd.storage.desk_books import discrepancy_faults, records_after
from orderd.storage.lock import pid_in
from orderd.storage.migrate import VERSION_TABLE
from orderd.storage.prepare import EPOCH
from orderd.storage.schema import REVISION

PAGE_ORDERS: Final = 100
FAULTS_SHOWN: Final = 5
LOG_BYTES: Final = 64 * 1024 * 1024
"""More than this is never needed while the server runs well (promise 13)."""
MIN_FREE_BYTES: Final = 256 * 1024 * 1024
RESTORE: Final = "stop the server, keep the file, and go on from the last backup: orderd restore"


class Verdict(StrEnum):
    """What came out of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""
    """What to do about it; empty when nothing is to be done."""


def examine(path: Path, *, min_free_bytes: int = MIN_FREE_BYTES) -> Iterator[Check]:
    """Check everything about the journal at `path`, each thing as it is done."""
    try:
        held_by = holder(path)
        yield _file(path)
        yield _lock(held_by)
        yield _space(path, min_free_bytes)
        with closing(_opened(path)) as connection:
            yield _settings(connection)
            schema = _schema(connection)
            yield schema
            yield from _pages(connection, is_live=held_by is not None)
            if schema.verdict is Verdict.OK:
                yield from _contents(connection)
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        yield Check("file", Verdict.FAIL, f"{path} cannot be read: {error}", RESTORE)


def holder(path: Path) -> str | None:
    """Return the process id of the server that has this journal open ("" when it does not say), None without one.

    Asking takes a shared lock for a moment: it cannot be asked for otherwise.
    """
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid_in(descriptor)
    finally:
        os.close(descriptor)
    return None


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(read_only_uri(path), uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout=5000")
    return connection


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _file(path: Path) -> Check:
    log = _size(path.with_name(path.name + "-wal"))
    detail = f"{_size(path)} bytes, write-ahead log {log} bytes"
    if log <= LOG_BYTES:
        return Check("file", Verdict.OK, detail)
    return Check(
        "file", Verdict.WARN, detail, "something reads for long, or the server was killed; a start shortens it"
    )


def _lock(held_by: str | None) -> Check:
    if held_by is None:
        return Check("lock", Verdict.OK, "no server has it open")
    return Check("lock", Verdict.OK, f"open in process {held_by or 'of another user'}")


def _space(path: Path, min_free_bytes: int) -> Check:
    disk = os.statvfs(path.parent)
    free = disk.f_bavail * disk.f_frsize
    if free >= min_free_bytes:
        return Check("space", Verdict.OK, f"{free} bytes free")
    fix = f"below {min_free_bytes} bytes new orders are refused: make room, or move the journal"
    return Check("space", Verdict.WARN, f"{free} bytes free", fix)


def _settings(connection: sqlite3.Connection) -> Check:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == "wal":
        return Check(
            "settings", Verdict.OK, "write-ahead log; a server holds every connection to a sync for each commit"
        )
    return Check("settings", Verdict.OK, f"journal mode {mode}: a backup, or a journal that was never served")


def _schema(connection: sqlite3.Connection) -> Check:
    """The tables are there, and this build knows them."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchone() is None:
        return Check("schema", Verdict.FAIL, "no journal: the tables are not ours", "name the journal's file")
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    found = str(row[0]) if row else "none"
    if found == REVISION:
        return Check("schema", Verdict.OK, f"revision {found}")
    if found > REVISION:
        fix = "use the orderd that wrote it"
        return Check("schema", Verdict.FAIL, f"revision {found} is newer than this build's {REVISION}", fix)
    fix = "a start brings it up to date; then ask again"
    return Check("schema", Verdict.WARN, f"revision {found}: its events and orders were not examined", fix)


def _pages(connection: sqlite3.Connection, *, is_live: bool) -> Iterator[Check]:
    """SQLite's own checks: of the whole file, or table by table while a server writes."""
    asked = [""]
    if is_live:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        asked = ["('" + name.replace("'", "''") + "')" for (name,) in names]
    found = [str(row[0]) for each in asked for row in connection.execute(f"PRAGMA integrity_check{each}")]
    yield _of("pages", [text for text in found if text != "ok"], "SQLite finds no fault")
    orphans = [f"row {row[1]} of {row[0]}" for row in connection.execute("PRAGMA foreign_key_check")]
    yield _of("references", orphans, "every fill and broker id has its order")


def _of(name: str, found: list[str], fine: str) -> Check:
    if not found:
        return Check(name, Verdict.OK, fine)
    more = f", and {len(found) - FAULTS_SHOWN} more" if len(found) > FAULTS_SHOWN else ""
    return Check(name, Verdict.FAIL, "; ".join(found[:FAULTS_SHOWN]) + more, RESTORE)


def _contents(connection: sqlite3.Connection) -> Iterator[Check]:
    meta = read_meta(connection)
    if meta is None:
        yield Check("chain", Verdict.OK, "nothing was written yet")
        return
    yield _guarded("chain", lambda: _chain(connection, meta))
    yield _guarded("orders", lambda: _orders(connection))
    yield _guarded("desk", lambda: _desk(connection))
    yield _guarded("strays", lambda: _strays(connection))
    yield _guarded("discrepancies", lambda: _discrepancies(connection))
    yield _guarded("unknown", lambda: _unknown(connection))
    yield _guarded("reconciled", lambda: _reconciled(connection))


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """A table that cannot be read is a fault of its check, and the others are still made."""
    try:
        return check()
    except sqlite3.Error as error:
        return Check(name, Verdict.FAIL, f"cannot be read: {error}", RESTORE)


def _chain(connection: sqlite3.Connection, meta: Meta) -> Check:
    try:
        verify(connection, meta, meta.floor)
    except ChainError as error:
        return Check("chain", Verdict.FAIL, str(error), RESTORE)
    removed = f", those up to {meta.floor.sequence} were removed" if meta.floor.sequence else ""
    count = meta.head.sequence - meta.floor.sequence
    return Check("chain", Verdict.OK, f"{count} events up to {meta.head.sequence} are what was committed{removed}")


def _orders(connection: sqlite3.Connection) -> Check:
    found: list[str] = []
    count = fills = number = 0
    while True:
        with _snapshot(connection):
            number, records = _page(connection, number)
            found += [f"order {r.row.order_id}: {text}" for r in records for text in islice(faults(r), FAULTS_SHOWN)]
        if not records:
            return _of("orders", found, f"{count} orders and {fills} fills are what their events say")
        count += len(records)
        fills += sum(len(record.fills) for record in records)


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def _page(connection: sqlite3.Connection, after: int) -> tuple[int, list[Record]]:
    """Return the next orders in the order of their rows, each with everything about it, and where to go on."""
    meta = read_meta(connection)
    floor = 0 if meta is None else meta.floor.sequence
    rows = connection.execute(statements.ORDER_ROWS, (after, PAGE_ORDERS)).fetchall()
    return (rows[-1][0] if rows else after), [
        _record(connection, OrderRow(row[1:-4], *row[-4:]), floor) for row in rows
    ]


def _record(connection: sqlite3.Connection, row: OrderRow, floor: int) -> Record:
    def owner(broker_order_id: str) -> str | None:
        account_id = row.cells[ORDER_COLUMNS.index("account_id")]
        found = connection.execute(statements.FIND_BROKER_ORDER, (account_id, broker_order_id)).fetchone()
        return str(found[0]) if found else None

    return Record(
        row=row,
        events=[EventRow(*event) for event in connection.execute(statements.EVENT_ROWS, (row.order_id,))],
        fills=[FillRow(fill[:-3], *fill[-3:]) for fill in connection.execute(statements.FILL_ROWS, (row.order_id,))],
        owner=owner,
        floor=floor,
    )


def _desk(connection: sqlite3.Connection) -> Check:
    """Decisions, trades, results, risk states, positions; and the events of discrepancies."""
    found: list[str] = []
    count = number = 0
    while True:
        with _snapshot(connection):
            page = records_after(connection, number)
        if not page.count:
            break
        number, count = page.last, count + page.count
        found += page.faults
    with _snapshot(connection):
        found += discrepancy_faults(connection)
    return _of("desk", found, f"{count} records of the desk are what their events say")


def _strays(connection: sqlite3.Connection) -> Check:
    found = [f"event {sequence} is of order {order_id}" for sequence, order_id in connection.execute(statements.STRAYS)]
    return _of("strays", found, "every event has its order or record")


def _discrepancies(connection: sqlite3.Connection) -> Check:
    """Not a fault of the journal: what the broker and orderd do not agree on."""
    ((count,),) = connection.execute(statements.COUNT_DISCREPANCIES).fetchall()
    if not count:
        return Check("discrepancies", Verdict.OK, "none are open")
    return Check("discrepancies", Verdict.WARN, f"{count} are open", "see orderd broker orders")


def _unknown(connection: sqlite3.Connection) -> Check:
    """Orders whose outcome is not known: each of them may be alive at its broker."""
    ((count, oldest_us),) = connection.execute(statements.UNKNOWN_ORDERS).fetchall()
    if not count:
        return Check("unknown", Verdict.OK, "no order's outcome is unknown")
    oldest = EPOCH + timedelta(microseconds=oldest_us)
    fix = "a running server looks them up; what stays unknown is for the operator to resolve"
    return Check("unknown", Verdict.WARN, f"{count} outcomes are unknown, the oldest order is of {oldest}", fix)


def _reconciled(connection: sqlite3.Connection) -> Check:
    """When each account last agreed with its broker."""
    rows = connection.execute(statements.RECONCILED).fetchall()
    accounts = (f"{name.partition(':')[2]} {value}" for name, value in rows)
    return Check("reconciled", Verdict.OK, "; ".join(accounts) or "no account has been compared with its broker yet")
