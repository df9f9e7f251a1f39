"""Servers of the bench, each in a process of its own: nothing measured shares an interpreter with its client."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY_S = 120.0
END_S = 30.0
_KIB = 1024


class DidNotStartError(RuntimeError):
    """A server of the bench ended before it served."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A started server: what it said when it was ready, and how long that took."""

    process: asyncio.subprocess.Process
    said: dict[str, str]
    took_s: float

    @property
    def address(self) -> str:
        """Where its gRPC listens."""
        return self.said["grpc_address"]

    @property
    def rss_bytes(self) -> int:
        """Memory it holds right now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * _KIB
        return 0

    @property
    def cpu_s(self) -> float:
        """Processor seconds it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def started(module: str, *arguments: str) -> AsyncIterator[Running]:
    """Run `python -m module arguments`, wait for its JSON line on stdout; end it with SIGTERM at the end of the block.

    Raises DidNotStartError with what it wrote to stderr.
    """
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=None
    )
    try:
        running = Running(process=process, said=await _ready(process, module), took_s=time.perf_counter() - began)
        yield running
    finally:
        await _end(process)


async def _ready(process: asyncio.subprocess.Process, module: str) -> dict[str, str]:
    if process.stdout is None:
        raise DidNotStartError(f"{module} has no stdout")
    try:
        async with asyncio.timeout(READY_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise DidNotStartError(f"{module} was not ready after {READY_S:g} s") from None
    if not line:
        raise DidNotStartError(f"{module} ended with {await process.wait()}")
    said: dict[str, str] = json.loads(line)
    return said


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
