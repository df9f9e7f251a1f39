"""Trades over a split of their shares, and over the end of their option: whatever the broker does with their orders."""

import asyncio
from pathlib import Path

import pytest

from oms.v1 import trade_service_pb2 as pb
from orderd.core.order import OrderType, Side
from orderd.core.trade import ExitReason, Trade, TradeState
from orderd.venue.accounts import Happening
from orderd.venue.orders import Change, Status
from tests.desk.test_corporate_actions import overnight
from tests.desk.test_position_stories import CALL, D, differing, happen, told, trade
from tests.desk.trading import desk, exits, held, is_closed, is_protected, live, opened, protected, quote, stops, until
from tests.engine.seams import AFTER_COMMIT, BEFORE_COMMIT
from tests.engine.world import World

SPLIT = (("KO", "-10", "0", "SPLIT"), ("KO", "30", "26.67", "SPLIT"))


def events(world: World, trade_id: str) -> list[str]:
    found = [each for each in world.desk_events() if each.trade_id == trade_id and each.HasField("trade")]
    return [pb.DeskEventType.Name(each.type).removeprefix("DESK_EVENT_TYPE_") for each in found]


def is_restated(trade: Trade) -> bool:
    return bool(trade.splits) and is_protected(trade)


def at_work(world: World) -> list[tuple[object, object]]:
    """Stops that work at the venue: quantity and price."""
    orders = [order for order in world.face.venue.ledger.orders.values() if order.is_open]
    return [(order.quantity, order.stop_price) for order in orders if order.stop_price is not None]


async def restated(world: World, trade_id: str) -> Trade:
    return await until(world, trade_id, is_restated, 120)


def test_the_stop_of_a_trade_follows_a_split_in_quantity_and_price(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await told(world)
        before = await protected(world)
        happen(world, *SPLIT)
        await told(world)
        after = await restated(world, before.trade_id)
        assert (after.open_quantity, after.protected_quantity, after.stop_price) == (D(30), D(30), D(25))
        assert after.average_entry_price == (D(80) / D(3)).quantize(D("1e-18"))
        (stop,) = [stop for stop in stops(world, before.trade_id) if stop.is_open]
        assert (stop.terms.quantity, stop.terms.stop_price) == (D(30), D(25))
        assert "TRADE_ADJUSTED" in events(world, before.trade_id)
        assert after.reason is not None
        assert (after.reason.code, after.reason.message) == (
            "SPLIT",
            "a split, 30 for 10: the stop was at 75, it is to be at 25",
        )
        quote(world, "27")
        await asyncio.sleep(10)
        assert held(world) == D(30)
        await desk(world).close(before.trade_id, timeout_s=20)
        closed = await until(world, before.trade_id, is_closed)
        assert (closed.realized_pnl, held(world)) == (D(10), 0)
        assert not differing(world)

    live(tmp_path, story)


def test_a_short_trade_over_a_reverse_split(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await told(world)
        before = await protected(world, side=Side.SELL)
        happen(world, ("KO", "10", "0", "SPLIT"), ("KO", "-1", "800", "SPLIT"))
        await told(world)
        after = await restated(world, before.trade_id)
        assert (after.open_quantity, after.protected_quantity, after.stop_price) == (D(1), D(1), D(850))
        quote(world, "800")
        await asyncio.sleep(10)
        assert held(world) == D(-1)

    live(tmp_path, story)


def test_a_price_after_a_split_that_nobody_has_told_of_sells_nothing(tmp_path: Path) -> None:
    """The broker has taken the stop away with the split: the one that follows is not sent at the old price."""

    async def story(world: World) -> None:
        await told(world)
        before = await protected(world)
        today = overnight(world)
        happen(world, ("KO", "20", "0", ""))
        (stop,) = stops(world, before.trade_id)
        world.face.venue.end(stop.intent.client_order_id, Status.CANCELED)
        quote(world, "27")
        await asyncio.sleep(90)
        assert held(world) == D(30)
        assert len(stops(world, before.trade_id)) == 1
        assert not exits(world, before.trade_id)
        (account,) = world.face.venue.state.accounts.values()
        rows = [
            Happening(symbol="KO", quantity=D(q), kind="SPLIT", group_id="g", day=today, moves=False)
            for q in ("-10", "30")
        ]
        world.face.venue.happen(account, rows)
        await told(world)
        after = await restated(world, before.trade_id)
        assert (after.open_quantity, after.protected_quantity, after.stop_price) == (D(30), D(30), D(25))
        await asyncio.sleep(20)
        assert held(world) == D(30)
        assert not differing(world)

    live(tmp_path, story)


def test_a_stop_that_sold_at_the_old_price_leaves_the_rest_protected(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await told(world)
        before = await protected(world)
        today = overnight(world)
        happen(world, ("KO", "20", "0", ""))
        quote(world, "27")
        await until(world, before.trade_id, is_closed)
        assert held(world) == D(20), "the broker let it execute"
        (account,) = world.face.venue.state.accounts.values()
        rows = [
            Happening(symbol="KO", quantity=D(q), kind="SPLIT", group_id="g", day=today, moves=False)
            for q in ("-10", "30")
        ]
        world.face.venue.happen(account, rows)
        await told(world)
        after = await restated(world, before.trade_id)
        assert (after.state, after.open_quantity, after.protected_quantity) == (TradeState.OPEN, D(20), D(20))
        assert after.stop_price == D(25)
        assert "TRADE_REOPENED" in events(world, before.trade_id)
        assert not differing(world)

    live(tmp_path, story)


def test_an_entry_that_waits_over_a_split_ends(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await told(world)
        await trade(world, "10", strategy="other")
        made = await opened(world, type=OrderType.LIMIT, entry_price=D(78))
        await asyncio.sleep(2)
        happen(world, *SPLIT)
        await told(world)
        after = await until(world, made.trade.trade_id, lambda trade: trade.is_over, 60)
        assert (after.state, held(world)) == (TradeState.NEVER_OPENED, D(30))

    live(tmp_path, story)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_broker_that_changes_the_stop_itself(tmp_path: Path, is_first: bool) -> None:
    async def story(world: World) -> None:
        await told(world)
        before = await protected(world)
        (stop,) = stops(world, before.trade_id)
        change = Change(quantity=D(30), stop_price=D(25))
        happen(world, *SPLIT)
        if is_first:
            world.face.venue.replace_by_person(stop.intent.client_order_id, change)
            world.pump()
            await asyncio.sleep(1)
            quote(world, "27")
        await told(world)
        after = await restated(world, before.trade_id)
        assert (after.open_quantity, after.protected_quantity, after.stop_price) == (D(30), D(30), D(25))
        quote(world, "27")
        await asyncio.sleep(20)
        assert held(world) == D(30)
        assert at_work(world) == [(D(30), D(25))]
        quote(world, "24")
        closed = await until(world, before.trade_id, is_closed)
        assert (closed.exit_reason, held(world)) == (ExitReason.STOP_LOSS, 0)

    live(tmp_path, story)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 6])
def test_an_option_that_ends_ends_its_trades(tmp_path: Path, number: int) -> None:
    """Assigned for two of three contracts: the older trade is closed, the younger one keeps one; over a death, too."""

    async def story(world: World) -> None:
        await told(world)
        asked = {"symbol": CALL, "entry_price": D(5), "stop_loss_price": D(1), "accept_unprotected": True}
        first = await opened(world, "t-1", quantity="1", **asked)
        second = await opened(world, "t-2", quantity="2", **asked)
        for made in (first, second):
            await until(world, made.trade.trade_id, lambda trade: trade.state is TradeState.OPEN)
        world.arm(BEFORE_COMMIT, number) if number else None
        happen(world, (CALL, "-2", "0", "OPEXC"), ("AAPL", "200", "250", "OPTRD"))
        for _ in range(10):
            if world.is_dead:
                await world.bury()
                await world.start()
            await asyncio.sleep(2)
        world.arm("nowhere", 1)
        await told(world)
        ended = await until(world, first.trade.trade_id, is_closed)
        assert (ended.exit_reason, ended.average_exit_price) == (ExitReason.EXPIRY, 0)
        assert ended.realized_pnl == -100 * (ended.average_entry_price or 0)
        left = desk(world).get(second.trade.trade_id)
        assert (left.state, left.open_quantity) == (TradeState.OPEN, D(1))
        await world.restart()
        await told(world)
        assert desk(world).get(second.trade.trade_id).open_quantity == 1, "once"
        happen(world, (CALL, "-1", "0", "OPEXP"))
        await told(world)
        assert (await until(world, second.trade.trade_id, is_closed)).exit_reason is ExitReason.EXPIRY
        assert not differing(world)

    live(tmp_path, story)


@pytest.mark.parametrize("place", [BEFORE_COMMIT, AFTER_COMMIT])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_a_death_anywhere_comes_to_the_same_stop(tmp_path: Path, place: str, number: int) -> None:
    async def story(world: World) -> None:
        await told(world)
        before = await protected(world)
        world.arm(place, number)
        happen(world, *SPLIT)
        await world.live_on()
        await told(world)
        after = await restated(world, before.trade_id)
        assert (after.open_quantity, after.protected_quantity, after.stop_price) == (D(30), D(30), D(25))
        assert len(after.splits) == 1
        quote(world, "27")
        await asyncio.sleep(10)
        assert held(world) == D(30)

    live(tmp_path, story)
