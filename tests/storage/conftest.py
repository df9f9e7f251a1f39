"""An opened journal for tests of the room itself; what any journal must do is in tests/contracts."""

from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from orderd.storage import SqliteJournal, open_journal
from orderd.system import SystemClock, SystemIds

Opening = Callable[..., Coroutine[Any, Any, SqliteJournal]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the test's journal lives."""
    return tmp_path / "orderd.db"


@pytest.fixture
async def opening(database: Path) -> AsyncIterator[Opening]:
    """Open the test's journal with options; what is open at the end is closed."""
    opened: list[SqliteJournal] = []

    async def open_one(path: Path = database, **options: Any) -> SqliteJournal:  # noqa: ANN401
        url = f"sqlite+aiosqlite:///{path}"
        journal = await open_journal(url, clock=SystemClock(), ids=SystemIds(), **options)
        opened.append(journal)
        return journal

    yield open_one
    for journal in opened:
        await journal.close()
