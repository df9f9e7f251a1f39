"""Opening a journal: lock, migrate, settle, read where it stands, start the writer. In this order, or not at all."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import insert

from orderd.ports import Clock, Ids, JournalError
from orderd.storage import location, statements
from orderd.storage.checkpoint import Checkpointer
from orderd.storage.connect import open_reader, open_writer, translated
from orderd.storage.journal import Parts, SqliteJournal
from orderd.storage.lock import DatabaseLock
from orderd.storage.migrate import migrate
from orderd.storage.points import Points
from orderd.storage.prepare import microseconds
from orderd.storage.reads import AsyncReads, InlineReads, Reads
from orderd.storage.runner import Runner, ThreadRunner
from orderd.storage.schema import journal_meta
from orderd.storage.writer import Writer

_META = ("meta_id", "journal_id", "head_sequence", "created_us")
_BEGIN_JOURNAL = statements.sql(insert(journal_meta), *_META, columns=_META)


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
    operator: JournalUrlError, JournalFileError, JournalLockedError, JournalSchemaError or JournalUnsafeError.
    """
    path = location.path_of(url)
    location.check(path)
    chosen = ThreadRunner() if runner is None else runner
    with translated(path), ExitStack() as undo:
        lock = DatabaseLock.take(path)
        undo.callback(lock.free)
        await migrate(path, has_threads=chosen.has_threads)
        parts = _opened(path, clock, ids, (chosen, lock), undo)
        journal = SqliteJournal(parts, on_failure)
        undo.pop_all()
        return journal


def _opened(path: Path, clock: Clock, ids: Ids, held: tuple[Runner, DatabaseLock], undo: ExitStack) -> Parts:
    runner, lock = held
    connection = open_writer(path)
    undo.callback(connection.close)
    if connection.execute(statements.META).fetchone() is None:
        connection.execute(_BEGIN_JOURNAL, (1, ids.new(), 0, microseconds(clock.now())))
    journal_id, head = connection.execute(statements.META).fetchone()
    accounts = frozenset(row[0] for row in connection.execute(statements.ACCOUNTS))
    points = open_reader(path)
    undo.callback(points.close)
    checkpoints = open_writer(path)
    undo.callback(checkpoints.close)
    reads: Reads = AsyncReads(path) if runner.has_threads else InlineReads(path)
    return Parts(
        path=path,
        journal_id=journal_id,
        head=head,
        accounts=accounts,
        runner=runner,
        writer=Writer(connection),
        points=Points(points, opened_at=head),
        reads=reads,
        checkpointer=Checkpointer(checkpoints, path),
        lock=lock,
    )
