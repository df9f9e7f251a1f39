"""`python -m tests.storage.dying JOB SOURCE DIRECTORY KILLS`: a backup or a restore, shot at each step in turn.

The Nth child makes `DIRECTORY/to-N.db` and is killed at the Nth thing it does to a file: what SQLite writes (every
statement that is not a read), each open, sync, rename and unlink. The parent has imported everything, and forks.
"""

import os
import signal
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orderd.storage import backup
from tests.storage.making import START

_connect, _fsync = sqlite3.connect, os.fsync


class Shot:
    """Counts the steps, and shoots."""

    def __init__(self, at: int) -> None:
        self._left = at

    def step(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def aim(self) -> None:
        """From here on every step counts."""
        sqlite3.connect = self._connected  # type: ignore[assignment]
        os.fsync = self._synced  # type: ignore[assignment]
        sys.addaudithook(
            lambda event, _: self.step() if event in {"os.rename", "os.remove", "sqlite3.connect"} else None
        )

    def _connected(self, *args: Any, **kwargs: Any) -> sqlite3.Connection:  # noqa: ANN401 - whatever sqlite3 takes
        connection: sqlite3.Connection = _connect(*args, **kwargs)
        connection.set_trace_callback(lambda text: None if text.lstrip().upper().startswith("SELECT") else self.step())
        return connection

    def _synced(self, descriptor: int) -> None:
        self.step()
        _fsync(descriptor)


def _work(job: str, source: Path, target: Path) -> None:
    now = datetime.now(UTC)
    if job == "backup":
        backup.back_up(source, target, now=now, told=lambda _: None)
    else:
        backup.restore(source, target, journal_id=f"j-{START:%Y}", now=now, told=lambda _: None)


def main(job: str, source: Path, directory: Path, kills: int) -> None:
    """Fork one child for each step; say how each ended."""
    for number in range(1, kills + 1):
        child = os.fork()
        if child == 0:
            Shot(number).aim()
            _work(job, source, directory / f"to-{number}.db")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
