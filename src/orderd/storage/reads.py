"""Running the lists: each is one statement, so each is one snapshot and one hop to a reader's thread."""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.exc import ResourceClosedError
from sqlalchemy.ext.asyncio import create_async_engine

from orderd.storage.connect import open_async, open_reader
from orderd.storage.prepare import Cell
from orderd.storage.queries import Query

READERS = 4
"""Connections, each with a thread of its own; more readers wait their turn."""

Rows = list[tuple[Any, ...]]


class Reads(Protocol):
    """Runs the statements of lists."""

    async def rows(self, query: Query, values: Mapping[str, Cell]) -> Rows:
        """Return all rows. Raises sqlite3.Error, or sqlalchemy.exc.SQLAlchemyError when there is no connection."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class AsyncReads:
    """aiosqlite, out of the pool of SQLAlchemy's async engine.

    The statement goes to the driver as it is: through SQLAlchemy's cursor a list would cost a dozen hops to the thread
    instead of one. A read goes on when its caller leaves: a connection that is abandoned in the middle of a statement
    would have to be thrown away, and with it a thread that may still be at work.
    """

    def __init__(self, path: Path) -> None:
        """Connections are opened when they are needed, and settled like every other."""
        self._running: dict[asyncio.Task[Rows], None] = {}
        self._is_closed = False
        self._engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=lambda: open_async(path, is_writer=False),
            poolclass=AsyncAdaptedQueuePool,
            pool_size=READERS,
            max_overflow=0,
            pool_reset_on_return=None,  # no transaction is ever left open here
        )

    async def rows(self, query: Query, values: Mapping[str, Cell]) -> Rows:
        """See `Reads.rows`."""
        if self._is_closed:
            raise ResourceClosedError("the readers are closed")
        task = asyncio.get_running_loop().create_task(self._rows(query.text, query.cells(values)))
        self._running[task] = None
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for the reads that run, close the connections and their threads."""
        self._is_closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._engine.dispose()

    async def _rows(self, text: str, cells: tuple[Cell, ...]) -> Rows:
        connection = await self._engine.raw_connection()
        try:
            driver: Any = connection.driver_connection
            rows: Rows = await driver.execute_fetchall(text, cells)
            return rows
        finally:
            connection.close()

    def _forget(self, task: asyncio.Task[Rows]) -> None:
        del self._running[task]
        if not task.cancelled():
            task.exception()  # its caller may have left: nobody else asks


class InlineReads:
    """The same on the loop itself, for a simulation without threads."""

    def __init__(self, path: Path) -> None:
        """Open the one connection."""
        self._is_closed = False
        self._connection = open_reader(path)

    async def rows(self, query: Query, values: Mapping[str, Cell]) -> Rows:
        """See `Reads.rows`."""
        if self._is_closed:
            raise ResourceClosedError("the reader is closed")
        with closing(self._connection.execute(query.text, query.cells(values))) as cursor:
            return cursor.fetchall()

    async def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        self._connection.close()
