"""The circuit breaker counts each result once, wherever the process dies between the fill and the count."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from orderd.risk.limits import Limits
from tests.desk.trading import desk, live, protected, quote
from tests.engine.world import World

BREAKER = Limits(max_losses_in_a_row=3)


@pytest.mark.parametrize("commits", range(1, 16))
def test_a_result_is_counted_once_wherever_the_process_dies(tmp_path: Path, commits: int) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, stop_loss_price=Decimal(40))
        quote(world, "79")
        world.arm("after commit", commits)
        asked = asyncio.ensure_future(desk(world).close(trade.trade_id, timeout_s=20))
        await asyncio.wait([world.death], timeout=20)
        asked.cancel()
        await world.restart()
        await asyncio.sleep(30)
        counted = world.alive.workers.account.risk.day()
        assert (counted.realised, counted.losses_in_a_row) == (-10, 1)

    live(tmp_path, story, policy={"limits": BREAKER})
