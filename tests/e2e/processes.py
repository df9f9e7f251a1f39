"""Real processes: one that ends with its test, says in one JSON line that it is ready, and can be shot."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.canary import GIVEN

READY_S = 30
VENUE = """
import asyncio, json, sys
from orderd.venue.options import VenueOptions
from orderd.venue.server import run_venue
asyncio.run(run_venue(VenueOptions(**json.loads(open(sys.argv[1], encoding="utf-8").read()))))
"""


def server(config: Path, log: Path, *, kept: Path | None = None) -> "Process":
    """`orderd serve`. `kept`: beside what the rest is kept, when the log is no file."""
    return Process(("-m", "orderd", "serve", "--config", str(config)), log, kept=kept)


def venue(options: Mapping[str, object], log: Path) -> "Process":
    """A venue with every option there is, also those that the command line does not offer (the witness)."""
    given = log.parent / GIVEN / f"{log.stem}.json"
    given.parent.mkdir(exist_ok=True)
    given.write_text(json.dumps(options), encoding="utf-8")
    return Process(("-c", VENUE, str(given)), log)


class ProcessEndedError(Exception):
    """It ended before it was ready."""


class Process:
    """A Python program. Its stderr goes to a file, which a failing test shows.

    Beside that file: what it said on stdout, and what others may see of it in /proc.
    """

    def __init__(self, arguments: Sequence[str], log: Path, *, kept: Path | None = None) -> None:
        self._command = (sys.executable, *arguments)
        self.log = log
        self._kept = kept or log
        self._running: asyncio.subprocess.Process | None = None

    async def start(self) -> Mapping[str, Any]:
        """Start it and wait for its ready line. Raises ProcessEndedError."""
        await self.spawn()
        return await self.ready()

    async def spawn(self) -> None:
        """Start it without waiting for anything."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERD_")}
        with self.log.open("ab") as stderr:
            self._running = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=stderr, env=environment
            )
        seen = Path(f"/proc/{self.pid}")
        with self._kept.with_suffix(".proc").open("ab") as file, contextlib.suppress(FileNotFoundError):
            # Not there: it has ended already.
            file.writelines((seen / name).read_bytes() + b"\n" for name in ("cmdline", "environ"))

    async def ready(self) -> Mapping[str, Any]:
        """The ready line. Raises ProcessEndedError."""
        stdout = self._process.stdout
        assert stdout is not None
        async with asyncio.timeout(READY_S):
            line = await stdout.readline()
        self._keep(line)
        if not line:
            code = await self._process.wait()
            raise ProcessEndedError(f"exit code {code}: {self.said()}")
        said: dict[str, Any] = json.loads(line)
        assert said["event"] == "ready", said
        return said

    @property
    def _process(self) -> asyncio.subprocess.Process:
        assert self._running is not None, "not started"
        return self._running

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        """What it wrote on stderr, over all its lives."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.is_running:
            self._process.kill()
        await self._gone()

    async def _gone(self) -> int:
        code = await self._process.wait()
        if self._process.stdout is not None:
            self._keep(await self._process.stdout.read())
        return code

    def _keep(self, said: bytes) -> None:
        with self._kept.with_suffix(".out").open("ab") as file:
            file.write(said)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def ended(self, within_s: float) -> int:
        """Its exit code, at most so late."""
        async with asyncio.timeout(within_s):
            return await self._gone()


async def used_s(process: Process, *, ends_with: int) -> float:
    """Processor time of a program that is started here and ends by itself: a busy machine makes everybody wait."""
    before_s = _of_the_ended_s()
    await process.spawn()
    assert await process.ended(60) == ends_with, process.said()
    return _of_the_ended_s() - before_s


async def loading_s(directory: Path) -> float:
    """Processor time that the server's program needs here to be loaded, before it does anything."""
    return await used_s(Process(("-c", "import orderd.app"), directory / "loading.log"), ends_with=0)


def _of_the_ended_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rss(pid: int) -> int:
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
