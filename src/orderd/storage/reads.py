"""Running the lists: each call one short, explicit read transaction, so that what it answers is one snapshot."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import AsyncAdaptedQueuePool, Connection, Executable, StaticPool, create_engine
from sqlalchemy.exc import ResourceClosedError
from sqlalchemy.ext.asyncio import create_async_engine

from orderd.storage.connect import open_async, open_reader

READERS = 4
"""Connections, each with a thread of its own; more readers wait their turn."""

Rows = Sequence[Sequence[Any]]


class Reads(Protocol):
    """Runs read statements as of one snapshot."""

    async def run(self, *statements: Executable) -> list[Rows]:
        """Return the rows of each statement. Raises sqlalchemy.exc.SQLAlchemyError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class AsyncReads:
    """SQLAlchemy's async engine over aiosqlite.

    A read goes on when its caller leaves: a connection that is abandoned in the middle of a statement would have to be
    thrown away, and with it a thread that may still be at work.
    """

    def __init__(self, path: Path) -> None:
        """Connections are opened when they are needed, and settled like every other."""
        self._running: dict[asyncio.Task[list[Rows]], None] = {}
        self._is_closed = False
        self._engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=lambda: open_async(path, is_writer=False),
            poolclass=AsyncAdaptedQueuePool,
            pool_size=READERS,
            max_overflow=0,
        )

    async def run(self, *statements: Executable) -> list[Rows]:
        """See `Reads.run`."""
        if self._is_closed:
            raise ResourceClosedError("the readers are closed")
        task = asyncio.get_running_loop().create_task(self._run(statements))
        self._running[task] = None
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for the reads that run, close the connections and their threads."""
        self._is_closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._engine.dispose()

    async def _run(self, statements: Sequence[Executable]) -> list[Rows]:
        async with self._engine.connect() as connection:
            return await connection.run_sync(_all, statements)

    def _forget(self, task: asyncio.Task[list[Rows]]) -> None:
        del self._running[task]
        if not task.cancelled():
            task.exception()  # its caller may have left: nobody else asks


class InlineReads:
    """The same on the loop itself, for a simulation without threads."""

    def __init__(self, path: Path) -> None:
        """Open the one connection."""
        self._is_closed = False
        self._raw = open_reader(path)
        self._engine = create_engine("sqlite://", creator=lambda: self._raw, poolclass=StaticPool)

    async def run(self, *statements: Executable) -> list[Rows]:
        """See `Reads.run`."""
        if self._is_closed:
            raise ResourceClosedError("the reader is closed")
        with self._engine.connect() as connection:
            return _all(connection, statements)

    async def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        self._engine.dispose()
        self._raw.close()


def _all(connection: Connection, statements: Sequence[Executable]) -> list[Rows]:
    # The driver is in autocommit: without a BEGIN of our own each SELECT would be a snapshot of its own.
    connection.exec_driver_sql("BEGIN")
    try:
        return [connection.execute(statement).all() for statement in statements]
    finally:
        connection.exec_driver_sql("ROLLBACK")
