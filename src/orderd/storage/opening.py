"""Opening a journal: lock, migrate, settle, verify, start the writer. In this order, or not at all."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import structlog
from sqlalchemy import insert

from orderd.ports import Clock, Ids, JournalError
from orderd.storage import location, statements
from orderd.storage.backup import refuse_backup
from orderd.storage.chain import GENESIS, ChainError, Meta, read_meta, verified_position, verify
from orderd.storage.checkpoint import Checkpointer, make_durable
from orderd.storage.connect import open_reader, open_writer, translated
from orderd.storage.doctor import Check, Verdict, examine
from orderd.storage.errors import JournalCorruptError, JournalLostError
from orderd.storage.journal import SqliteJournal
from orderd.storage.lock import DatabaseLock, Known
from orderd.storage.migrate import migrate
from orderd.storage.points import Points
from orderd.storage.prepare import microseconds
from orderd.storage.presence import WRITING, Pace, stamp_of
from orderd.storage.reading import Parts
from orderd.storage.reads import AsyncReads, InlineReads, Reads
from orderd.storage.runner import Runner, ThreadRunner
from orderd.storage.schema import journal_meta
from orderd.storage.writer import Writer

log = structlog.get_logger("orderd.storage")

_META = tuple(column.name for column in journal_meta.columns)
_BEGIN_JOURNAL = statements.sql(insert(journal_meta), *_META, columns=_META)
VERIFY_NS = 2_000_000_000
"""How long a start verifies what was added since the last one; what is left over is the next start's, or doctor's."""


async def open_journal(
    url: str,
    *,
    clock: Clock,
    ids: Ids,
    runner: Runner | None = None,
    on_failure: Callable[[JournalError], None] | None = None,
) -> SqliteJournal:
    """Open (or create) the journal that `url` names, ready to write.

    `runner`: a thread of its own unless given; with an `InlineRunner` nothing here uses a thread. `on_failure` is
    called on the loop, once, when a write failed and the process must end. Raises OpenError, whose message is for the
    operator: JournalUrlError, JournalFileError, JournalLockedError, JournalSchemaError, JournalUnsafeError,
    JournalCorruptError or JournalLostError.
    """
    path = location.path_of(url)
    location.check(path)
    chosen = ThreadRunner() if runner is None else runner
    with translated(path), ExitStack() as undo:
        lock = DatabaseLock.take(path, _pace(chosen))
        undo.callback(lock.free)
        refuse_backup(path)
        is_touched = _is_touched(path, lock.known)
        if not is_touched:
            lock.wrote(WRITING)
        await migrate(path, has_threads=chosen.has_threads)
        parts = _opened(path, clock, ids, (chosen, lock), undo)
        _refuse_older(path, parts, lock.known)
        if is_touched:
            await _examine(path, has_threads=chosen.has_threads)
        lock.remember(Known(parts.journal_id, parts.head, parts.checkpointer.presence.stamp))
        journal = SqliteJournal(parts, on_failure)
        undo.pop_all()
        return journal


def _opened(path: Path, clock: Clock, ids: Ids, held: tuple[Runner, DatabaseLock], undo: ExitStack) -> Parts:
    runner, lock = held
    connection = open_writer(path)
    undo.callback(connection.close)
    make_durable(connection, path)
    meta = _begun(connection, clock, ids)
    _verify(path, connection, meta, clock)
    asked = (statements.ACCOUNTS, statements.RECORD_ACCOUNTS)
    accounts = frozenset(row[0] for text in asked for row in connection.execute(text))
    points = open_reader(path)
    undo.callback(points.close)
    checkpoints = open_writer(path)
    undo.callback(checkpoints.close)
    reads: Reads = AsyncReads(path) if runner.has_threads else InlineReads(path)
    return Parts(
        path=path,
        journal_id=meta.journal_id,
        head=meta.head.sequence,
        floor=meta.floor.sequence,
        accounts=accounts,
        runner=runner,
        writer=Writer(connection),
        points=Points(points, opened_at=meta.head.sequence),
        reads=reads,
        checkpointer=Checkpointer(checkpoints, path, lock, _pace(runner)),
        lock=lock,
    )


def _pace(runner: Runner) -> Pace:
    """A simulation reads no clock but its own."""
    return Pace() if runner.has_threads else Pace(0)


def _is_touched(path: Path, known: Known | None) -> bool:
    """Whether somebody wrote to the file since a server last did. Raises JournalLostError when it is gone."""
    if known is None:
        return False
    if known.head and not (path.exists() and path.stat().st_size):
        raise JournalLostError(path, f"is gone: a journal with {known.head} events was here")
    return path.exists() and known.stamp != WRITING and stamp_of(path) != known.stamp


def _refuse_older(path: Path, parts: Parts, known: Known | None) -> None:
    """Keep a copy from being served as if it were the journal: what was committed after it was made is missing."""
    if known is None:
        return
    if known.journal_id != parts.journal_id:
        log.warning("journal_is_another", journal_id=parts.journal_id, before=known.journal_id)
    elif parts.head < known.head:
        raise JournalLostError(
            path,
            f"is an older copy of the journal: it ends at event {parts.head}, and event {known.head} was committed",
        )


async def _examine(path: Path, *, has_threads: bool) -> None:
    """Check all of it, which takes minutes when it is large: beside the loop. Raises JournalCorruptError.

    Its file is not as the last server left it: a copy was put back, perhaps beneath the log of a newer one, or a power
    cut came while the log was being moved.
    """
    log.warning("journal_changed_since_last_written", database=str(path))
    failed = await asyncio.to_thread(_failed, path) if has_threads else _failed(path)
    if failed:
        raise JournalCorruptError(path, "; ".join(f"{check.name}: {check.detail}" for check in failed))


def _failed(path: Path) -> list[Check]:
    return [check for check in examine(path, min_free_bytes=0) if check.verdict is Verdict.FAIL]


def _begun(connection: sqlite3.Connection, clock: Clock, ids: Ids) -> Meta:
    """Return the head row; a journal that has none begins here."""
    meta = read_meta(connection)
    if meta is not None:
        return meta
    connection.execute(_BEGIN_JOURNAL, (1, ids.new(), 0, microseconds(clock.now()), GENESIS, 0, GENESIS, 0))
    begun = read_meta(connection)
    if begun is None:
        raise sqlite3.DatabaseError("a journal's head row was written and is not there")
    return begun


def _verify(path: Path, connection: sqlite3.Connection, meta: Meta, clock: Clock) -> None:
    """Hold what was added since the last start to its hashes, and remember how far that went."""
    until_ns = clock.monotonic_ns() + VERIFY_NS
    start = verified_position(connection, meta)
    try:
        end = verify(connection, meta, start, is_over=lambda: clock.monotonic_ns() > until_ns)
    except ChainError as error:
        raise JournalCorruptError(path, str(error)) from error
    if end.sequence > meta.verified_sequence:
        connection.execute(statements.SET_VERIFIED, (end.sequence,))
    if end.sequence < meta.head.sequence:
        log.warning("journal_not_verified_to_its_head", verified=end.sequence, head=meta.head.sequence)
