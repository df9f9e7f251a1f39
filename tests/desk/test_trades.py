"""A trade's life against the venue: opened, protected, moved, closed."""

import asyncio
from decimal import Decimal
from pathlib import Path

from orderd.core.order import OrderState, Side
from orderd.core.trade import ExitReason, Protection, TradeState
from tests.desk.trading import (
    desk,
    exits,
    held,
    is_closed,
    live,
    opened,
    protected,
    quote,
    stops,
    until,
)
from tests.engine.world import World


def test_a_trade_is_opened_protected_and_closed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        assert trade.state is TradeState.OPEN
        assert held(world) == 10
        (stop,) = stops(world, trade.trade_id)
        assert (stop.intent.side, stop.terms.quantity, stop.terms.stop_price) == (Side.SELL, 10, 75)
        quote(world, "82")
        closed = await desk(world).close(trade.trade_id, timeout_s=10)
        assert closed.state is TradeState.CLOSED
        assert held(world) == 0
        assert [order.state for order in stops(world, trade.trade_id)] == [OrderState.CANCELED]
        assert len(exits(world, trade.trade_id)) == 1
        assert closed.exit_reason is ExitReason.REQUESTED

    live(tmp_path, story)


def test_a_stop_that_executes_closes_the_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        quote(world, "74")
        closed = await until(world, trade.trade_id, is_closed)
        assert not exits(world, trade.trade_id)
        assert closed.average_exit_price == 74
        assert held(world) == 0

    live(tmp_path, story)


def test_a_short_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, side=Side.SELL)
        assert held(world) == -10
        quote(world, "70")
        closed = await desk(world).close(trade.trade_id, timeout_s=10)
        assert closed.state is TradeState.CLOSED
        assert closed.realized_pnl is not None
        assert closed.realized_pnl > 0
        assert held(world) == 0

    live(tmp_path, story)


def test_the_same_key_is_the_same_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        many = await asyncio.gather(*(opened(world) for _ in range(20)))
        assert len({made.trade.trade_id for made in many}) == 1
        assert sorted(made.replayed for made in many) == [False, *[True] * 19]
        await until(world, many[0].trade.trade_id, lambda trade: trade.protection is Protection.PROTECTED)
        assert held(world) == 10

    live(tmp_path, story)


def test_a_moved_stop_is_replaced(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        await desk(world).move_stop(trade.trade_id, Decimal(78), request_id="m-1")
        await asyncio.sleep(2)
        (stop,) = stops(world, trade.trade_id)
        assert stop.terms.stop_price == 78
        assert len(stop.links) == 2
        assert desk(world).get(trade.trade_id).protection is Protection.PROTECTED

    live(tmp_path, story)


def test_a_part_is_closed_and_the_rest_stays_protected(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        after = await desk(world).close(trade.trade_id, quantity=Decimal(4), request_id="c-1", timeout_s=10)
        assert after.state is TradeState.OPEN
        await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 6)
        assert held(world) == 6
        await desk(world).close(trade.trade_id, quantity=Decimal(4), request_id="c-1", timeout_s=10)
        assert held(world) == 6, "the same request closes once"

    live(tmp_path, story)
