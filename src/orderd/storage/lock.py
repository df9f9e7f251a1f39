"""One process trades an account: the lock that says so.

The lock is a file of its own. Opening and closing the database file outside SQLite would drop SQLite's own locks, and
another process's exit could then delete the write-ahead log under us.
"""

import fcntl
import os
from pathlib import Path

from orderd.storage.errors import JournalFileError, JournalLockedError


class DatabaseLock:
    """Held from before the migrations until the last connection is closed. The kernel frees it when we die."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Use `take`."""
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, database: Path) -> "DatabaseLock":
        """Take `<database>.lock` without waiting. Raises JournalLockedError, which names the holder's process id."""
        path = database.with_name(database.name + ".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalFileError(f"cannot open the lock file {path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise JournalLockedError(path, pid) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return cls(path, descriptor)

    def free(self) -> None:
        """Let go. The file stays: removing it would race with a process that has just opened it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
