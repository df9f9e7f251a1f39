"""Moving the write-ahead log into the database, on a connection of its own, so that the log stays short.

A passive checkpoint never makes the writer wait, but while the writer goes on it never quite finishes either, and only
a finished one lets the log begin again from its start. So a thread moves nearly everything, and the writer then runs
the short rest between two batches. A log that begins again is overwritten instead of extended, which also makes every
commit cheaper: an overwrite needs no new blocks from the file system.
"""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from orderd.storage.errors import DisplacedError
from orderd.storage.lock import DatabaseLock
from orderd.storage.presence import WRITING, Pace, Presence

WORTHWHILE_PAGES: Final = 4_000
PAGES_A_COMMIT: Final = 10
"""A commit touches about this many pages for its indexes, and one more for each row; only used to guess when."""
LOOK_S: Final = 1.0
"""How often the files are looked at, and what the lock file has not been told is, while nothing is written."""
URGENT_BYTES: Final = 32 * 1024 * 1024
"""Half of what is promised: past it the writer does not wait for the thread's turn."""


def make_durable(connection: sqlite3.Connection, database: Path) -> None:
    """Make what was found in the write-ahead log last, before anybody is told of it. Raises sqlite3.Error, OSError.

    A process that was killed between writing a commit and syncing it leaves a commit that reads like any other, and a
    power cut would still take it. Likewise one whose sync failed: the system then takes the pages for written. Moved
    into the database they are written anew, and synced there.
    """
    _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if moved == pages:
        return
    # Somebody reads from an earlier moment and so keeps it in the log. Opening the log does SQLite's locks no harm:
    # they are on the database and on the log's index.
    descriptor = os.open(database.with_name(database.name + "-wal"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Checkpointer:
    """Keeps the log short. `between_batches` is the writer's to call; the rest is a thread's, when there may be one."""

    def __init__(self, connection: sqlite3.Connection, database: Path, lock: DatabaseLock, pace: Pace) -> None:
        """Take over a settled connection; `lock` is told what the database looks like. `pace`: of the looks at it."""
        self._lock = lock
        self._connection = connection
        self.presence = Presence(database)
        self._turn = threading.Lock()
        self._due = threading.Event()
        self._is_stopping = False
        self._has_rest = False
        self._pages = 0
        self._pace = pace
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[Exception], None]) -> None:
        """Run passive checkpoints from a thread whenever enough was written."""
        self._thread = threading.Thread(
            target=self._run, args=(on_failure,), name="orderd-journal-checkpoint", daemon=True
        )
        self._thread.start()

    def between_batches(self, rows: int) -> None:
        """Take note of a commit of so many rows; finish what the thread began. Raises sqlite3.Error, DisplacedError."""
        if self._pace.is_due():
            self._look()
        self._pages += PAGES_A_COMMIT + rows
        if self._has_rest or self.presence.log_bytes > URGENT_BYTES:
            self._checkpoint("PASSIVE")
            self._has_rest = False
        elif self._pages >= WORTHWHILE_PAGES:
            self._pages = 0
            if self._thread is None:
                self._checkpoint("PASSIVE")
            else:
                self._due.set()

    def close(self, *, is_final: bool) -> None:
        """End the thread, move everything when `is_final`, close the connection.

        Raises sqlite3.Error, OSError, DisplacedError.
        """
        self._is_stopping = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()
        try:
            if is_final:
                self._checkpoint("TRUNCATE")
        finally:
            self._connection.close()

    def _run(self, on_failure: Callable[[Exception], None]) -> None:
        while True:
            is_due = self._due.wait(LOOK_S)
            if self._is_stopping:
                return
            try:
                if is_due:
                    self._due.clear()
                    self._checkpoint("PASSIVE")
                    self._has_rest = True
                else:
                    self._look()
                    self._lock.settle()
            except (sqlite3.Error, OSError, DisplacedError) as error:
                on_failure(error)
                return

    def _look(self) -> None:
        """See whether the files are still ours, unless a checkpoint writes to them now: it looks, too."""
        if not self._turn.acquire(blocking=False):
            self.presence.measure()
            return
        try:
            self.presence.check()
        finally:
            self._turn.release()
        self._pace.rest()

    def _checkpoint(self, mode: str) -> None:
        with self._turn:
            self.presence.check()  # nothing is written into a file that somebody has put there
            self._lock.wrote(WRITING)
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            self.presence.settle()
            self._lock.wrote(self.presence.stamp)
