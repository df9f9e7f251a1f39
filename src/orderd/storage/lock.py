"""One process trades an account: the lock that says so, and what it remembers of the journal.

The lock is a file of its own. Opening and closing the database file outside SQLite would drop SQLite's own locks, and
another process's exit could then delete the write-ahead log under us.

It outlives the journal: which journal was here, how far it went, what its file looked like. A start that finds less
knows that something was deleted or put back. What is remembered is written after a commit is durable, not for each of
those that follow closely, and is never synced: it may lag behind the journal and never leads it.
"""

import fcntl
import os
import threading
from pathlib import Path

import msgspec

from orderd.storage.errors import JournalFileError, JournalLockedError
from orderd.storage.presence import Pace, Stamp

MOST_BYTES = 512
"""One sector: written whole or not at all."""


class Known(msgspec.Struct, frozen=True):
    """What the last server here knew of its journal."""

    journal_id: str
    head: int
    stamp: Stamp


def pid_in(descriptor: int) -> str:
    """Return the process id that a lock file names, empty when it names none."""
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").partition("\n")[0].strip()


class DatabaseLock:
    """Held from before the migrations until the last connection is closed. The kernel frees it when we die."""

    def __init__(self, path: Path, descriptor: int, known: Known | None, pace: Pace) -> None:
        """Use `take`."""
        self.path = path
        self.known = known
        self._descriptor: int | None = descriptor
        self._pace = pace
        self._is_written = True
        self._turn = threading.Lock()
        """The writer and the checkpoints both tell."""

    @classmethod
    def take(cls, database: Path, pace: Pace | None = None) -> "DatabaseLock":
        """Take `<database>.lock` without waiting. Raises JournalLockedError, which names the holder's process id.

        `pace`: how often it is written down how far the journal goes; None: every time.
        """
        path = database.with_name(database.name + ".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalFileError(f"cannot open the lock file {path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = pid_in(descriptor)
            os.close(descriptor)
            raise JournalLockedError(path, pid) from None
        known = _known(os.pread(descriptor, MOST_BYTES, 0))
        lock = cls(path, descriptor, known, pace or Pace(0))
        lock._write(known)
        return lock

    def remember(self, known: Known | None) -> None:
        """Keep what is known for the next start. Raises OSError."""
        with self._turn:
            if known != self.known:
                self.known = known
                self._write(known)

    def reached(self, head: int) -> None:
        """Remember that this event is durable: written at once, or a moment later. Raises OSError."""
        with self._turn:
            if self.known is None or head <= self.known.head:
                return
            self.known = Known(self.known.journal_id, head, self.known.stamp)
            self._is_written = False
            if self._pace.is_due():
                self._write(self.known)

    def settle(self) -> None:
        """Write what was reached since the last time. Raises OSError."""
        with self._turn:
            if not self._is_written:
                self._write(self.known)

    def wrote(self, stamp: Stamp) -> None:
        """Remember what the database looks like now; `WRITING` before we write to it ourselves. Raises OSError."""
        with self._turn:
            if self.known is not None and stamp != self.known.stamp:
                self.known = msgspec.structs.replace(self.known, stamp=stamp)
                self._write(self.known)

    def _write(self, known: Known | None) -> None:
        if self._descriptor is None:
            return
        said = f"{os.getpid()}\n"
        if known is not None:
            said += f"{known.journal_id}\n{known.head}\n{known.stamp.modified_ns}\n{known.stamp.size}\n"
        # Padded, so that nothing of a longer text is left behind it.
        os.pwrite(self._descriptor, said.encode("ascii").ljust(MOST_BYTES, b"\n"), 0)
        self._is_written = True
        self._pace.rest()

    def free(self) -> None:
        """Let go. The file stays: removing it would race with a process that has just opened it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _known(text: bytes) -> Known | None:
    """Read it back; nothing when it is not whole, as after a power cut."""
    try:
        _, journal_id, head, modified_ns, size, *_ = text.decode("ascii").split("\n")
        return Known(journal_id, int(head), Stamp(int(modified_ns), int(size)))
    except ValueError:
        return None
