"""What a decision's own end means for what is on its way because of it."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from orderd.core.order import OrderState
from orderd.core.trade import TradeState
from orderd.engine.api import Wait
from tests.desk.deciding import decisions, in_, naming, to_close, to_open
from tests.desk.trading import desk, held, live, protected
from tests.engine.world import World, intent


@pytest.mark.parametrize("commits", [2, 3])
def test_the_entry_of_a_trade_does_not_leave_after_its_decision_is_over(tmp_path: Path, commits: int) -> None:
    """The process dies between the trade and its entry, and is there again when it is too late."""

    async def story(world: World) -> None:
        world.arm("after commit", commits)
        asked = decisions(world).record(to_open(execute=True, expires_time=in_(world, 5)))
        with_it = asyncio.ensure_future(asked)
        await asyncio.wait([with_it, world.death], return_when=asyncio.FIRST_COMPLETED)
        await world.kill()
        await asyncio.sleep(6)
        await world.start()
        await asyncio.sleep(40)
        trade = desk(world).find("paper", "o-d-1")
        assert trade.state is TradeState.NEVER_OPENED
        assert not world.face.venue.ledger.orders
        assert all(order.state is OrderState.SUBMIT_FAILED for order in naming(world))

    live(tmp_path, story)


def test_an_order_whose_time_runs_out_while_it_is_written_does_not_leave(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        now = world.clock.now()
        soon = msgspec.structs.replace(intent(client_order_id="k-1"), valid_until_time=now + timedelta(microseconds=10))
        made = await world.alive.engine.submit(soon, wait=Wait.BROKER, timeout_s=5)
        assert made.order.state is OrderState.SUBMIT_FAILED
        assert not world.face.venue.ledger.orders

    live(tmp_path, story)


@pytest.mark.parametrize("commits", range(1, 11))
def test_an_exit_of_a_part_is_carried_out_once_wherever_the_process_dies(tmp_path: Path, commits: int) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        world.arm("after commit", commits)
        asked = decisions(world).record(to_close(trade.trade_id, execute=True, quantity=Decimal(3)))
        with_it = asyncio.ensure_future(asked)
        await asyncio.wait([world.death], timeout=20)
        with_it.cancel()
        await world.restart()
        await asyncio.sleep(30)
        known = decisions(world).book.find("paper", "d-2")
        assert held(world) == (10 if known is None else 7)
        assert desk(world).get(trade.trade_id).protected_quantity == held(world)

    live(tmp_path, story)
