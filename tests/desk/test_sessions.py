"""Trades while the exchange is closed: the stop stays, and the exit goes out when, and as, it can."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from orderd.core.order import OrderType
from orderd.core.trade import Protection, TradeState
from tests.desk.trading import desk, exits, held, is_closed, live, protected, quote, stops, until
from tests.engine.world import World

HOUR_S = 3600
NYSE = {"sessions": "nyse"}


def close_the_exchange(world: World) -> None:
    """It is half past five in the afternoon there."""
    world.venue_clock.skew += timedelta(hours=8)


def test_an_exit_asked_for_after_the_close_waits_for_the_open_and_the_stop_stays(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        close_the_exchange(world)
        await asyncio.sleep(90)
        closing = await desk(world).close(trade.trade_id, timeout_s=30)
        assert closing.state is TradeState.CLOSING
        assert closing.protection is Protection.PROTECTED
        assert not exits(world, trade.trade_id)
        assert all(not stop.pending_cancel for stop in stops(world, trade.trade_id) if stop.is_open)
        await asyncio.sleep(600)
        assert not exits(world, trade.trade_id)
        world.venue_clock.skew += timedelta(hours=17)
        await until(world, trade.trade_id, is_closed, seconds=HOUR_S)
        assert held(world) == 0
        assert len(exits(world, trade.trade_id)) == 1

    live(tmp_path, story, venue_options=NYSE, policy={"reconcile_interval_s": 300})


def test_with_an_offset_the_exit_is_a_limit_order_outside_the_session(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        account = world.alive.workers.account
        limits = msgspec.structs.replace(account.policy.limits, extended_exit_offset_percent=Decimal("0.5"))
        account.policy = replace(account.policy, limits=limits)
        trade = await protected(world)
        close_the_exchange(world)
        await asyncio.sleep(90)
        quote(world, "82")
        await asyncio.sleep(310)
        closed = await desk(world).close(trade.trade_id, timeout_s=600)
        (exit_order,) = exits(world, trade.trade_id)
        assert exit_order.terms.type is OrderType.LIMIT
        assert exit_order.terms.extended_hours
        assert exit_order.terms.limit_price == Decimal("81.59")
        assert closed.state is TradeState.CLOSED
        assert held(world) == 0

    live(tmp_path, story, venue_options=NYSE, policy={"reconcile_interval_s": 300})
