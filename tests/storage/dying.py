"""`python -m tests.storage.dying JOB SOURCE DIRECTORY STEP...`: a backup, a restore or an upgrade, shot at a step.

For each step N a child makes `DIRECTORY/to-N.db` and is killed at the Nth thing it does to a file: what SQLite writes
(every statement that is not a read), each open, sync, rename and unlink. The parent has imported everything, and forks.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - so that the children need not read it

from orderd.storage import backup, open_journal
from orderd.system import SystemClock, SystemIds
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


async def _opened_and_closed(path: Path) -> None:
    await (await open_journal(f"sqlite+aiosqlite:///{path}", clock=SystemClock(), ids=SystemIds())).close()


def _work(job: str, source: Path, target: Path) -> None:
    now = datetime.now(UTC)
    if job == "upgrade":
        shutil.copy(source, target)
        asyncio.run(_opened_and_closed(target))
    elif job == "backup":
        backup.back_up(source, target, now=now, told=lambda _: None)
    else:
        backup.restore(source, target, journal_id=f"j-{START:%Y}", now=now, told=lambda _: None)


def main(job: str, source: Path, directory: Path, steps: Sequence[int]) -> None:
    """Fork one child for each step, until one comes through; say how each ended."""
    for number in steps:
        child = os.fork()
        if child == 0:
            Shot(number).aim()
            _work(job, source, directory / f"to-{number}.db")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        print(code, flush=True)
        if code == 0:
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), [int(step) for step in sys.argv[4:]])
