"""The journal over SQLite: every order, event and fill, durable before anybody is told.

`open_journal` is the way in; what it returns keeps `ports.Journal`. `Recorded` and `Staged` are made only here.
"""

from orderd.storage.errors import (
    ConflictError,
    JournalCorruptError,
    JournalFileError,
    JournalLockedError,
    JournalLostError,
    JournalSchemaError,
    JournalUnsafeError,
    JournalUrlError,
    OpenError,
)
from orderd.storage.journal import SqliteJournal
from orderd.storage.opening import open_journal
from orderd.storage.runner import InlineRunner, Runner, ThreadRunner

__all__ = [
    "ConflictError",
    "InlineRunner",
    "JournalCorruptError",
    "JournalFileError",
    "JournalLockedError",
    "JournalLostError",
    "JournalSchemaError",
    "JournalUnsafeError",
    "JournalUrlError",
    "OpenError",
    "Runner",
    "SqliteJournal",
    "ThreadRunner",
    "open_journal",
]
