"""What comes of the desk's own trades: entered, stopped, closed, gone, over deaths of the process."""

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from oms.v1 import trade_service_pb2 as pb
from orderd.core.order import Side
from orderd.core.records import RecordKind
from orderd.desk.completed import CURSOR, CompletedTrades
from orderd.ports import RecordFilter
from orderd.venue.exchange import Request
from orderd.venue.options import VenueOptions
from tests.desk.fills import MemoryRecords, Tail
from tests.desk.trading import desk, is_closed, live, protected, quote, stops, until
from tests.engine.seams import AFTER_COMMIT, BEFORE_COMMIT
from tests.engine.world import World

WHERE = RecordFilter(kind=RecordKind.COMPLETED_TRADE)


async def completed(world: World, count: int) -> list[pb.CompletedTrade]:
    """The results, newest first, once there are so many and all is folded."""
    journal = world.alive.journal
    async with asyncio.timeout(60):
        while True:
            page = await journal.list_records(WHERE, after_key=None, limit=100)
            if len(page.rows) >= count and int(await journal.mark(CURSOR) or 0) > 0:
                return [pb.CompletedTrade.FromString(row.data) for row in page.rows]
            await asyncio.sleep(0.1)


def test_a_closed_trade_has_the_result_that_the_trade_says(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, decision_id="d-1", trace_id="tr-1")
        quote(world, "82.5")
        closed = await desk(world).close(trade.trade_id, timeout_s=10)
        (result,) = await completed(world, 1)
        assert (result.trade_id, result.decision_id, result.trace_id) == (trade.trade_id, "d-1", "tr-1")
        assert (result.quantity, result.entry_price, result.exit_price, result.pnl) == ("10", "80", "82.5", "25")
        assert Decimal(result.pnl) == closed.realized_pnl
        assert result.exit_reason == pb.EXIT_REASON_REQUESTED

    live(tmp_path, story)


def test_a_stopped_short_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, side=Side.SELL)
        quote(world, "86")
        await until(world, trade.trade_id, is_closed)
        (result,) = await completed(world, 1)
        assert (result.pnl, result.exit_reason) == ("-60", pb.EXIT_REASON_STOP_LOSS)

    live(tmp_path, story)


def test_an_exit_says_in_its_labels_why_it_was_sent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, tags=(("bot", "x"),))
        await desk(world).close(trade.trade_id, timeout_s=10)
        (exit_order,) = [o for o in desk(world).orders(desk(world).get(trade.trade_id)) if o.intent.role == "EXIT"]
        assert exit_order.intent.tags == (("bot", "x"), ("exit_reason", "REQUESTED"))

    live(tmp_path, story)


@pytest.mark.parametrize("place", [BEFORE_COMMIT, AFTER_COMMIT])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_death_while_a_trade_closes_leaves_the_same_results(tmp_path: Path, place: str, number: int) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        world.arm(place, number)
        quote(world, "74")
        await asyncio.sleep(5)
        assert world.is_dead
        await world.start()
        await until(world, trade.trade_id, is_closed, seconds=60)
        (result,) = await completed(world, 1)
        assert (result.pnl, result.version) == ("-60", 1)
        memory = MemoryRecords()
        fold = CompletedTrades(memory, Tail(world.alive.journal))
        await fold.open()
        await fold.catch_up()
        (change,) = memory.changes
        again = pb.CompletedTrade.FromString(change.record.body)
        result.ClearField("sequence")
        assert again == result

    live(tmp_path, story)


def test_a_position_that_somebody_else_sold_is_closed_at_a_price_that_nobody_told(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        (stop,) = stops(world, trade.trade_id)
        await world.kill()
        at_the_broker(world, "DELETE", f"/v2/orders/{stop.broker_order_id}")
        await asyncio.sleep(1)
        world.pump()
        sale = {"symbol": "KO", "qty": "10", "side": "sell", "type": "market", "time_in_force": "day"}
        at_the_broker(world, "POST", "/v2/orders", sale)
        await asyncio.sleep(1)
        world.pump()
        await world.start()
        await desk(world).close(trade.trade_id, timeout_s=10)
        await until(world, trade.trade_id, is_closed, seconds=120)
        (result,) = await completed(world, 1)
        assert (result.quantity, result.exit_price, result.pnl) == ("10", "", "")
        assert (result.exit_reason, list(result.exit_order_ids)) == (pb.EXIT_REASON_EXTERNAL, [])

    live(tmp_path, story)


def at_the_broker(world: World, method: str, path: str, body: dict[str, str] | None = None) -> None:
    """What somebody does at the broker's own screen."""
    keys = VenueOptions()
    headers = {"APCA-API-KEY-ID": keys.key_id, "APCA-API-SECRET-KEY": keys.secret}
    request = Request(method=method, path=path, query={}, headers=headers, body=msgspec.json.encode(body or {}))
    assert world.face.handle(request).status in {200, 204}
    world.pump()
