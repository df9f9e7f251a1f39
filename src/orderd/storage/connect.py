"""Opening SQLite so that a commit is durable, and refusing to go on when it would not be.

Rule: every connection of this room, whoever makes it (migrations, readers and checkpoints too), is settled here.
Durable means synchronous=FULL with a write-ahead log: one sync a commit. NORMAL loses acknowledged orders at a power
cut, and none of it is a setting.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import aiosqlite
from sqlalchemy.exc import DBAPIError

from orderd.storage.errors import JournalCorruptError, JournalFileError, JournalUnsafeError

STATEMENTS_KEPT: Final = 512

READING: Final = ("PRAGMA busy_timeout=5000", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON")
WRITING: Final = (
    "PRAGMA journal_mode=WAL",
    # A log that was started over shrinks to this.
    "PRAGMA journal_size_limit=16777216",
    # Checkpoints have a connection of their own; the writer never stops for one (checkpoint.py).
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA cache_size=-32768",
    *READING,
)
VERIFIED: Final = (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1))
"""What durability and integrity rest on, read back on every connection."""


def held_or_refuse(pragma: str, wanted: object, found: object) -> None:
    """Raise JournalUnsafeError when SQLite did not take a setting (another build, another file system)."""
    if found != wanted:
        raise JournalUnsafeError(
            f"SQLite answers {pragma}={found!r} where {wanted!r} is needed for a durable commit; "
            "put the journal on a local disk and use an unmodified SQLite"
        )


def settle(connection: sqlite3.Connection, pragmas: tuple[str, ...]) -> None:
    """Make this connection durable and prove it. Raises JournalUnsafeError."""
    for pragma in pragmas:
        connection.execute(pragma)
    for name, wanted in VERIFIED:
        row = connection.execute(f"PRAGMA {name}").fetchone()
        held_or_refuse(name, wanted, row[0] if row else None)


def open_writer(path: Path) -> sqlite3.Connection:
    """Open a connection that may write; creates the file. Used by one thread at a time, BEGIN is said explicitly."""
    return _opened(path, writing_uri(path), WRITING)


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write. The database must exist."""
    return _opened(path, read_only_uri(path), READING)


def _opened(path: Path, uri: str, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    with translated(path):
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_KEPT
        )
        try:
            settle(connection, pragmas)
        except BaseException:
            connection.close()
            raise
        return connection


async def open_async(path: Path, *, is_writer: bool) -> aiosqlite.Connection:
    """Open a connection with a thread of its own, for SQLAlchemy's async engine."""
    uri = writing_uri(path) if is_writer else read_only_uri(path)
    with translated(path):
        opening = aiosqlite.connect(uri, uri=True, isolation_level=None, cached_statements=STATEMENTS_KEPT)
        # Its thread must not keep a process alive that ends because of a failure (a Thread itself in old versions).
        thread: Any = getattr(opening, "_thread", opening)
        thread.daemon = True
        connection = await opening
        try:
            for pragma in WRITING if is_writer else READING:
                await connection.execute_fetchall(pragma)
            for name, wanted in VERIFIED:
                rows = list(await connection.execute_fetchall(f"PRAGMA {name}"))
                held_or_refuse(name, wanted, rows[0][0] if rows else None)
        except BaseException:
            await connection.close()
            raise
        return connection


def writing_uri(path: Path) -> str:
    """Return the SQLite URI that opens this file for writing, and creates it."""
    return path.absolute().as_uri()


def read_only_uri(path: Path) -> str:
    """Return the SQLite URI that opens this file for reading only."""
    return f"{path.absolute().as_uri()}?mode=ro"


@contextmanager
def translated(path: Path) -> Generator[None]:
    """Say what SQLite or the system found wrong with a file in words of the journal."""
    try:
        yield
    except (sqlite3.Error, DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        # The kind of an error is its low byte. The attribute is missing where SQLite was not the one to complain.
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:
            raise JournalCorruptError(path, f"SQLite says {cause}") from error
        raise JournalFileError(f"{path} cannot be opened as a journal: {error}") from error
    except UnicodeDecodeError as error:  # SQLite complains in the words of the file, and these are damaged
        raise JournalCorruptError(path, f"a text in it is none ({error})") from error
