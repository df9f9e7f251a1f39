"""`orderd` as a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE_S = 30


@dataclass
class Started:
    """A process that serves, and what it said when it was ready."""

    process: asyncio.subprocess.Process
    ready: dict[str, Any]

    @property
    def address(self) -> str:
        """Where it serves gRPC."""
        return str(self.ready["grpc_address"])

    async def line(self) -> str:
        """The next line of its stderr."""
        assert self.process.stderr is not None
        async with asyncio.timeout(GRACE_S):
            return (await self.process.stderr.readline()).decode().rstrip()

    async def stop(self) -> int:
        """End it as a supervisor does; returns its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(GRACE_S):
            await self.process.communicate()
        return self.process.returncode or 0


async def spawn(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """Start `orderd` with these arguments."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERD_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orderd", *arguments, cwd=cwd, env=clean | dict(environment or {}),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )  # fmt: skip


async def ran(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run it to its end: exit code, stdout, stderr."""
    process = await spawn(*arguments, cwd=cwd, environment=environment)
    async with asyncio.timeout(GRACE_S):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def serving(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[Started]:
    """A process that is ready. It is killed when the test leaves it running."""
    process = await spawn(*arguments, cwd=cwd, environment=environment)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(GRACE_S):
            line = await process.stdout.readline()
        assert line, (await process.stderr.read()).decode()
        yield Started(process, json.loads(line))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
