"""Trades that are over: the last word about them, and that nothing of them stays in memory."""

import asyncio
from pathlib import Path

from oms.v1 import trade_service_pb2 as pb
from orderd.desk.locks import Locks
from tests.desk.trading import desk, is_closed, live, protected, quote, stops, until
from tests.engine.world import ACCOUNT, World

MANY = 25


def test_the_last_event_of_a_trade_is_its_end_and_says_that_nothing_is_to_be_covered(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        quote(world, "74")
        await until(world, trade.trade_id, is_closed)
        await asyncio.sleep(10)
        told = [event for event in world.desk_events() if event.HasField("trade")]
        assert told[-1].type == pb.DESK_EVENT_TYPE_TRADE_CLOSED
        assert told[-1].trade.protection == pb.PROTECTION_NONE
        assert [event.type for event in told].count(pb.DESK_EVENT_TYPE_TRADE_CLOSED) == 1

    live(tmp_path, story)


def test_a_stop_that_somebody_cancels_disarms_its_trade_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        (stop,) = stops(world, trade.trade_id)
        await world.cancel(stop.order_id)
        await asyncio.sleep(30)
        told = [event.type for event in world.desk_events() if event.HasField("trade")]
        assert told.count(pb.DESK_EVENT_TYPE_DISARMED) == 1

    live(tmp_path, story)


def test_a_result_is_dated_after_everything_that_was_written_before_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for key in ("t-1", "t-2"):
            trade = await protected(world, key)
            await desk(world).close(trade.trade_id, timeout_s=20)
            await asyncio.sleep(5)
        told = world.desk_events()
        results = [number for number, event in enumerate(told) if event.HasField("completed_trade")]
        assert len(results) == 2
        times = [event.recorded_time.ToNanoseconds() for event in told]
        assert all(times[number] >= max(times[:number]) for number in results)

    live(tmp_path, story)


def test_nothing_of_trades_that_are_over_is_kept(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for number in range(MANY):
            trade = await protected(world, f"t-{number}")
            await desk(world).close(trade.trade_id, timeout_s=20)
            await until(world, trade.trade_id, is_closed)
        await asyncio.sleep(400)
        alive = world.alive.desk
        around = alive.protector.around[ACCOUNT]
        sizes = {
            f"{type(part).__name__}.{name}": len(held)
            for part in (alive.book, alive.protector, around, alive.trades)
            for name, held in vars(part).items()
            if isinstance(held, dict | set | Locks) and name not in {"around", "quantities", "prices"}
        }
        assert len(sizes) >= 8, "there is something to look at"
        assert all(size <= 1 for size in sizes.values()), sizes

    live(tmp_path, story)
