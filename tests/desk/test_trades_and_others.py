"""People, busts, other trades and sessions around a trade: told against the venue, judged from outside."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orderd.core.order import OrderState, Side
from orderd.core.trade import ExitReason, OnPartial, Protection, TradeState
from orderd.engine.api import OrderRef, Wait
from orderd.venue.orders import Change, NewOrder, Status
from orderd.venue.orders import OrderType as VenueType
from orderd.venue.orders import Side as VenueSide
from orderd.venue.orders import TimeInForce as VenueTimeInForce
from tests.desk.judged import at_venue, by_person, fills, judged, pending
from tests.desk.trading import desk, exits, held, is_closed, is_protected, opened, protected, quote, stops, until
from tests.engine.seams import AFTER_COMMIT
from tests.engine.world import ACCOUNT, World

# -------------------------------------------------------------------------------------------------------------- people


def test_a_stop_that_ends_unasked_is_placed_again_three_times_a_session(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        for ended in range(1, 4):
            by_person(world, trade, Status.EXPIRED if ended == 2 else Status.CANCELED)
            await until(world, trade.trade_id, lambda _, n=ended: len(stops(world, trade.trade_id)) == n + 1)
            await until(world, trade.trade_id, is_protected)
        by_person(world, trade)
        await until(world, trade.trade_id, lambda trade: trade.protection is Protection.DISARMED)
        await asyncio.sleep(60)
        assert len(stops(world, trade.trade_id)) == 4
        await desk(world).rearm(trade.trade_id)
        await until(world, trade.trade_id, is_protected)

    judged(tmp_path, story)


def test_a_stop_that_is_cancelled_here_stays_away_until_it_is_asked_for(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        (stop,) = stops(world, trade.trade_id)
        await world.alive.engine.cancel(OrderRef(order_id=stop.order_id), reason="mine", wait=Wait.BROKER, timeout_s=5)
        await until(world, trade.trade_id, lambda trade: trade.protection is Protection.DISARMED)
        await world.restart()
        await asyncio.sleep(30)
        assert desk(world).get(trade.trade_id).protection is Protection.DISARMED
        await desk(world).rearm(trade.trade_id, Decimal(76))
        after = await until(world, trade.trade_id, is_protected)
        assert after.stop_price == 76

    judged(tmp_path, story)


@pytest.mark.parametrize("change", [Change(quantity=Decimal(6)), Change(stop_price=Decimal(70))], ids=["size", "price"])
def test_a_person_replaces_the_stop_at_the_broker(tmp_path: Path, change: Change) -> None:
    """What the trade asks for holds: the stop is brought back to it."""

    async def story(world: World) -> None:
        trade = await protected(world)
        world.face.venue.replace_by_person(at_venue(world, trade), change)
        world.pump()
        await asyncio.sleep(1)
        await until(world, trade.trade_id, is_protected)
        (stop,) = [order for order in stops(world, trade.trade_id) if order.is_open]
        assert (stop.leaves_quantity, stop.terms.stop_price) == (10, 75)

    judged(tmp_path, story)


def test_a_person_sells_what_is_held(tmp_path: Path) -> None:
    """No stop is placed for what is not there, and nothing is sold: the trade is over after a while."""

    async def story(world: World) -> None:
        trade = await protected(world)
        world.face.venue.end(at_venue(world, trade), Status.CANCELED)
        _sell_by_hand(world, 10)
        await asyncio.sleep(5)
        assert desk(world).get(trade.trade_id).protection is Protection.UNPROTECTED
        closed = await until(world, trade.trade_id, is_closed)
        assert held(world) == 0
        assert (closed.state, closed.exit_reason, closed.closed_outside) == (
            TradeState.CLOSED,
            ExitReason.EXTERNAL,
            10,
        )
        assert not exits(world, trade.trade_id)

    judged(tmp_path, story)


def test_a_person_sells_a_part(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        world.face.venue.end(at_venue(world, trade), Status.CANCELED)
        _sell_by_hand(world, 6)
        await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 4)
        closed = await desk(world).close(trade.trade_id, timeout_s=20)
        assert held(world) == 0
        assert closed.state is TradeState.CLOSED

    judged(tmp_path, story)


def _sell_by_hand(world: World, quantity: int) -> None:
    account = next(iter(world.face.venue.state.accounts.values()))
    world.face.venue.submit(
        account,
        NewOrder(
            symbol="KO",
            side=VenueSide.SELL,
            type=VenueType.MARKET,
            time_in_force=VenueTimeInForce.DAY,
            quantity=Decimal(quantity),
            client_order_id="hand-1",
        ),
    )
    world.pump()


# --------------------------------------------------------------------------------------------------------------- busts


def test_a_bust_of_the_entry_takes_the_stop_along(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        _bust(world, trade.children[0].client_order_id)
        await asyncio.sleep(5)
        assert held(world) == 0
        assert not [order for order in stops(world, trade.trade_id) if order.is_open]

    judged(tmp_path, story)


def test_a_bust_of_a_part_of_the_entry_shrinks_the_stop(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await pending(world, on_partial=OnPartial.WAIT)
        fills(world, trade, "3")
        fills(world, trade)
        await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 10)
        _bust(world, trade.children[0].client_order_id)
        await until(world, trade.trade_id, lambda trade: trade.open_quantity == trade.protected_quantity == 7)
        assert held(world) == 7

    judged(tmp_path, story)


def test_a_bust_of_the_exit_opens_the_trade_again_and_protects_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        await desk(world).close(trade.trade_id, timeout_s=10)
        _bust(world, exits(world, trade.trade_id)[0].intent.client_order_id)
        after = await until(world, trade.trade_id, is_protected)
        assert after.state is TradeState.OPEN
        assert held(world) == 10

    judged(tmp_path, story)


def _bust(world: World, key: str) -> None:
    venue = world.face.venue
    execution = next(e for e in venue.ledger.executions.values() if e.client_order_id == key)
    venue.bust(execution.execution_id)
    world.pump()


# ------------------------------------------------------------------------------------------------ more than one of them


def test_a_second_trade_cannot_be_opened_beside_a_stop(tmp_path: Path) -> None:
    """Alpaca's wash-trade table: a buy beside a resting stop to sell is refused. The first one is as it was."""

    async def story(world: World) -> None:
        first = await protected(world)
        second = (await opened(world, "t-2")).trade
        over = await until(world, second.trade_id, lambda trade: trade.is_over)
        assert over.state is TradeState.NEVER_OPENED
        assert desk(world).get(first.trade_id).protection is Protection.PROTECTED
        assert held(world) == 10

    judged(tmp_path, story)


def test_an_entry_in_the_way_of_another_trade_s_stop_is_cancelled(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await pending(world, "t-1"), await pending(world, "t-2")
        fills(world, one)
        await until(world, one.trade_id, is_protected, seconds=10)
        over = await until(world, other.trade_id, lambda trade: trade.is_over)
        assert over.state is TradeState.NEVER_OPENED

    judged(tmp_path, story)


def test_an_entry_the_other_way_gives_up_the_quantity_that_a_stop_needs(tmp_path: Path) -> None:
    """A bust brings a short position back while another trade's entry to buy rests: that one is cancelled."""

    async def story(world: World) -> None:
        short = await protected(world, side=Side.SELL)
        await desk(world).close(short.trade_id, timeout_s=10)
        long = await pending(world, "t-2", quantity="7")
        assert desk(world).orders(long)[0].state is OrderState.ACCEPTED
        _bust(world, exits(world, short.trade_id)[0].intent.client_order_id)
        after = await until(world, short.trade_id, is_protected)
        assert after.protected_quantity == 10
        assert not exits(world, long.trade_id)
        assert desk(world).get(long.trade_id).state is TradeState.NEVER_OPENED

    judged(tmp_path, story)


def test_two_trades_of_one_symbol_close_what_is_theirs(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await pending(world, "t-1"), await pending(world, "t-2", quantity="7")
        fills(world, one)
        fills(world, other)
        for trade in (one, other):
            await until(world, trade.trade_id, is_protected)
        assert held(world) == 17
        closed = await desk(world).close(one.trade_id, timeout_s=10)
        assert closed.state is TradeState.CLOSED
        assert held(world) == 7
        quote(world, "74")
        await until(world, other.trade_id, is_closed)
        assert held(world) == 0

    judged(tmp_path, story)


# ------------------------------------------------------------------------------------------------------------ sessions


def _leap(world: World, by: timedelta) -> None:
    """Time passes for everybody, and nobody sees it pass."""
    world.clock.skew += by
    world.venue_clock.skew += by
    world.pump()


def test_an_exit_after_the_close_waits_for_the_open_under_its_stop(tmp_path: Path) -> None:
    """The stop stands over night and over midnight; the exit goes out once, when the broker's session is open."""

    async def story(world: World) -> None:
        trade = await protected(world)
        _leap(world, timedelta(hours=6, minutes=31))  # 16:01 in New York
        await asyncio.sleep(61)
        waiting = await desk(world).close(trade.trade_id, timeout_s=30)
        assert waiting.state is TradeState.CLOSING
        assert not exits(world, trade.trade_id)
        assert [order.state for order in stops(world, trade.trade_id)] == [OrderState.ACCEPTED]
        _leap(world, timedelta(hours=10))
        await asyncio.sleep(61)
        await world.restart()
        await asyncio.sleep(30)
        assert not exits(world, trade.trade_id)
        assert desk(world).get(trade.trade_id).protected_quantity == 10
        _leap(world, timedelta(hours=7, minutes=29))
        closed = await until(world, trade.trade_id, is_closed, seconds=310)
        assert closed.exit_reason is ExitReason.REQUESTED
        assert len(exits(world, trade.trade_id)) == 1
        assert held(world) == 0

    judged(tmp_path, story, venue_options={"sessions": "nyse"})


# --------------------------------------------------------------------------------------------- between record and send


def test_a_trade_whose_entry_was_never_written_is_over_when_it_is_closed(tmp_path: Path) -> None:
    """The process has died with the commit of the trade; one that counts candles is not sent by the next process."""

    async def story(world: World) -> None:
        world.arm(AFTER_COMMIT, 1)
        asked = asyncio.ensure_future(opened(world, max_candles=3))
        await asyncio.wait([asked, world.death], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        await world.bury()
        await world.start()
        trade = desk(world).find(ACCOUNT, "t-1")
        assert not desk(world).orders(trade)
        closed = await desk(world).close(trade.trade_id, timeout_s=5)
        assert closed.state is TradeState.NEVER_OPENED

    judged(tmp_path, story)
