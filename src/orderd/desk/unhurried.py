"""Work that is done whole: a caller who gives up only stops waiting for it.

A call that is cut off in the middle of a record would leave what is in memory behind what is durable, and let go of its
lock before the commit. So what writes is a task of the account's, and the caller waits beside it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from orderd.engine.account import Tasks
from orderd.engine.errors import EngineError, Kind

T = TypeVar("T")


async def whole(tasks: Tasks, work: Coroutine[Any, Any, T], name: str) -> T:
    """Do all of it, and answer what it answers. Raises what it raises; UNAVAILABLE when the process is ending."""
    try:
        task = tasks.run(_outcome(work), name)
    except RuntimeError:
        work.close()
        text = "the server is shutting down"
        raise EngineError(Kind.UNAVAILABLE, "DRAINING", text, retry_after_s=1) from None
    outcome = await asyncio.shield(task)
    if isinstance(outcome, _Raised):
        raise outcome.error
    return outcome


class _Raised:
    """What the work raised: a value here, because an error in a task of the account ends the process."""

    def __init__(self, error: Exception) -> None:
        self.error = error


async def _outcome(work: Coroutine[Any, Any, T]) -> "T | _Raised":
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - it is the caller's, whatever it is
        return _Raised(error)
