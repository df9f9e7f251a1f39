"""Moving the write-ahead log into the database, on a connection of its own.

Passive checkpoints never make the writer wait, but under a steady load they also never quite finish, and the log
grows. Past half its limit the next one therefore runs between two batches, where it can finish.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

EVERY_S: float = 2.0
WORTHWHILE_BYTES = 4 * 1024 * 1024
URGENT_BYTES = 32 * 1024 * 1024
"""Half of what is promised, because the log shrinks only when the writer starts it over."""


class Checkpointer:
    """Keeps the log short. The writer calls `between_batches`; the rest is a thread's, when there may be one."""

    def __init__(self, connection: sqlite3.Connection, database: Path) -> None:
        """Take over a settled connection."""
        self._connection = connection
        self._log = database.with_name(database.name + "-wal")
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[Exception], None]) -> None:
        """Run passive checkpoints from a thread, every two seconds when there is something to move."""
        self._thread = threading.Thread(
            target=self._run, args=(on_failure,), name="orderd-journal-checkpoint", daemon=True
        )
        self._thread.start()

    def between_batches(self) -> None:
        """Run one now if the log is getting long. Raises sqlite3.Error."""
        if self.log_bytes() > URGENT_BYTES:
            self._checkpoint("PASSIVE")

    def log_bytes(self) -> int:
        """Size of the write-ahead log. Asks for its size only: the file is never opened here."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def close(self, *, is_final: bool) -> None:
        """End the thread, move everything when `is_final`, close the connection."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if is_final:
            self._checkpoint("TRUNCATE")
        self._connection.close()

    def _run(self, on_failure: Callable[[Exception], None]) -> None:
        while not self._stop.wait(EVERY_S):
            if self.log_bytes() > WORTHWHILE_BYTES:
                try:
                    self._checkpoint("PASSIVE")
                except sqlite3.Error as error:
                    on_failure(error)
                    return

    def _checkpoint(self, mode: str) -> None:
        with self._turn:
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
