"""A client that asks until it is answered, over as many lives of the server as it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orderd.core.trade import Trade
from orderd.engine.errors import EngineError, Kind
from orderd.ports import JournalError
from tests.desk.trading import desk
from tests.engine.world import DeadError, World

PATIENCE_S = 60
AGAIN = frozenset({Kind.UNAVAILABLE, Kind.EXHAUSTED, Kind.ABORTED})
Answer = TypeVar("Answer")


async def insist(world: World, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask, and ask again when the process dies over it, or cannot answer now."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await survive(world)
            asked = asyncio.ensure_future(call())
            await asyncio.wait([asked, world.death], return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                asked.cancel()
                continue
            try:
                return asked.result()
            except EngineError as error:
                if error.kind not in AGAIN:
                    raise
                await asyncio.sleep(0.1)
            except (JournalError, DeadError, asyncio.CancelledError):
                await asyncio.sleep(0)


async def survive(world: World) -> None:
    """Start again what has died."""
    while world.is_dead:
        await world.bury()
        world.watcher.settle_hearing(is_dead=True)
        await world.start()


async def insist_on(world: World, trade_id: str, holds: Callable[[Trade], bool]) -> Trade:
    """The trade once it is so, in whatever life that is."""

    async def look() -> Trade:
        while not holds(trade := desk(world).get(trade_id)):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        return trade

    return await insist(world, look)
