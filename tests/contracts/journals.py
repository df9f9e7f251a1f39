"""The journals the contract is held against. Another engine joins by adding a way to open it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from orderd.ports import Journal
from orderd.storage import InlineRunner, open_journal
from orderd.system import SystemClock, SystemIds

Open = Callable[[Path], Awaitable[Journal]]


async def _threaded(folder: Path) -> Journal:
    return await open_journal(f"sqlite+aiosqlite:///{folder}/orderd.db", clock=SystemClock(), ids=SystemIds())


async def _inline(folder: Path) -> Journal:
    runner = InlineRunner(lambda: 0.0005)
    url = f"sqlite+aiosqlite:///{folder}/orderd.db"
    return await open_journal(url, clock=SystemClock(), ids=SystemIds(), runner=runner)


ENGINES: dict[str, Open] = {"sqlite": _threaded, "sqlite in a simulation": _inline}


@asynccontextmanager
async def opened(open_one: Open, folder: Path) -> AsyncIterator[Journal]:
    """Open the journal kept in this folder, and close it."""
    journal = await open_one(folder)
    try:
        yield journal
    finally:
        await journal.close()
