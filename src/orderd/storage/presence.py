"""Whether the journal's files are still the ones that were opened, and whether anybody else wrote to them.

SQLite goes on for ever with a file that was deleted or replaced under it: every commit succeeds, and the next start
finds none of them. So the files are looked at after a commit, before anybody is told of it, and every second. Commits
that come within `PACE_NS` of a look are told without another.

Rule: only names are asked for (stat). The database is never opened here: closing it would drop SQLite's own locks.
"""

import os
import time
from pathlib import Path
from typing import Final

import msgspec

from orderd.storage.errors import DisplacedError


class Stamp(msgspec.Struct, frozen=True):
    """What the database file looked like after we last wrote to it."""

    modified_ns: int
    size: int


WRITING: Final = Stamp(0, 0)
"""Instead of a stamp while we write to the database: whoever finds it cannot tell who wrote last."""


def stamp_of(path: Path) -> Stamp:
    """Look at the file now. Raises OSError."""
    found = path.stat()
    return Stamp(found.st_mtime_ns, found.st_size)


PACE_NS: Final = 10_000_000
"""Between two looks at the files, and between two notes of how far the journal goes, at least. Nanoseconds.

Each lets go of the interpreter's lock, and the writer waits to get it back: with both after every commit an order took
a tenth longer.
"""


class Pace:
    """How often something is done at most; with 0 it is always due, and no clock is read."""

    def __init__(self, pace_ns: int = PACE_NS) -> None:
        """It is due at once."""
        self._pace_ns = pace_ns
        self._due_ns = 0

    def is_due(self) -> bool:
        """Whether it has rested long enough."""
        return not self._pace_ns or time.monotonic_ns() >= self._due_ns

    def rest(self) -> None:
        """It was done now."""
        if self._pace_ns:
            self._due_ns = time.monotonic_ns() + self._pace_ns


class Presence:
    """The database and its write-ahead log, as this process opened them."""

    def __init__(self, database: Path) -> None:
        """Remember what is there. Both exist: a connection that writes ahead is open."""
        self._database, self._log = database, database.with_name(database.name + "-wal")
        self._opened = _identity(os.stat(self._database)), _identity(os.stat(self._log))
        self.stamp = stamp_of(database)
        self.log_bytes = 0
        """Size of the log at the last look."""

    def check(self) -> None:
        """Raise DisplacedError when a file is gone, is another one, or was written to by somebody else.

        Between two of our checkpoints nobody writes to the database itself: commits go into the log.
        """
        database, log = _found(self._database), _found(self._log)
        if _identity(database) != self._opened[0]:
            raise DisplacedError(self._database, "was replaced by another file")
        if _identity(log) != self._opened[1]:
            raise DisplacedError(self._log, "was replaced by another file")
        if (database.st_mtime_ns, database.st_size) != (self.stamp.modified_ns, self.stamp.size):
            raise DisplacedError(self._database, "was written to by another program")
        self.log_bytes = log.st_size

    def measure(self) -> None:
        """Ask for the size of the log only. Raises DisplacedError when it is gone."""
        self.log_bytes = _found(self._log).st_size

    def settle(self) -> None:
        """Take the database as it is now: we have just written to it."""
        self.stamp = stamp_of(self._database)


def _found(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except FileNotFoundError:
        raise DisplacedError(path, "was deleted") from None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
