"""What can go wrong around a trade's stop and exits, one story each, told against the venue and judged from outside."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orderd.core.order import OrderState, OrderType
from orderd.core.trade import ExitReason, OnEntryEnd, OnPartial, Protection, Trade, TradeState
from orderd.engine.api import OrderRef, Wait
from orderd.venue.faults import AnswerBody, Fault, FaultKind
from orderd.venue.orders import Change, NewOrder, Status
from orderd.venue.orders import OrderType as VenueType
from orderd.venue.orders import Side as VenueSide
from orderd.venue.orders import TimeInForce as VenueTimeInForce
from tests.desk.judge import TradeReferee
from tests.desk.trading import desk, exits, held, is_closed, is_protected, live, opened, protected, quote, stops, until
from tests.engine.seams import AFTER_COMMIT
from tests.engine.world import ACCOUNT, World

ORDERS = "/v2/orders"


def judged(directory: Path, story: Callable[[World], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401
    """Tell a story under the referee's eyes; at its end both sides agree, and a restart changes nothing."""

    async def told(world: World) -> None:
        world.watcher = referee = TradeReferee(world.database, {"paper": world.face.venue})
        await story(world)
        world.face.venue.faults.clear()
        await asyncio.sleep(20)
        referee.check_file()
        assert not referee.breaches, referee.breaches
        assert not world.disagreements()
        assert not [said for trade in referee.trades.values() if (said := referee.bare(trade))]
        before = [event.sequence for event in world.events()], len(referee.records)
        await world.restart()
        await asyncio.sleep(20)
        referee.check_file()
        assert ([event.sequence for event in world.events()], len(referee.records)) == before
        referee.close()

    live(directory, told, **options)


def arm(world: World, kind: FaultKind, **how: Any) -> Fault:  # noqa: ANN401
    return world.face.venue.faults.arm(Fault(kind=kind, path=ORDERS, **how))


def refusal(world: World, status: int, text: str, times: int = 1) -> None:
    """The broker refuses the next orders with this text."""
    body = f'{{"code": 40310000, "message": "{text}"}}'
    kind = FaultKind.ANSWER_STATUS
    arm(
        world,
        kind,
        method="POST",
        status=status,
        body=AnswerBody.TEXT,
        text=body,
        is_accepted=False,
        times=times,
        skip=1,
    )


def by_person(world: World, trade: Trade, status: Status = Status.CANCELED) -> None:
    """The stop ends at the broker, and nobody here has asked for it."""
    world.face.venue.end(_at_venue(world, trade), status)
    world.pump()


def _at_venue(world: World, trade: Trade) -> str:
    return str(stops(world, trade.trade_id)[-1].broker_order_id)


async def pending(world: World, key: str = "t-1", **changes: Any) -> Trade:  # noqa: ANN401
    """A trade whose entry rests at the venue."""
    made = await opened(world, key, **({"type": OrderType.LIMIT, "entry_price": Decimal(79)} | changes))
    await asyncio.sleep(1)
    return made.trade


def fills(world: World, trade: Trade, quantity: str | None = None) -> None:
    """The entry executes."""
    world.face.venue.fill(trade.children[0].client_order_id, None if quantity is None else Decimal(quantity))
    world.pump()


# ------------------------------------------------------------------------------------------------------- stop and exit


@pytest.mark.parametrize("executed", [None, "10", "4"])
def test_the_stop_executes_while_the_exit_cancels_it(tmp_path: Path, executed: str | None) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        arm(
            world,
            FaultKind.FILL_CROSSES_CANCEL,
            method="DELETE",
            quantity=None if executed is None else Decimal(executed),
        )
        closed = await desk(world).close(trade.trade_id, timeout_s=15)
        assert closed.state is TradeState.CLOSED
        assert held(world) == 0
        (stop,) = stops(world, trade.trade_id)
        sold = [stop.filled_quantity, *(order.filled_quantity for order in exits(world, trade.trade_id))]
        assert sold == ([4, 6] if executed == "4" else [10])

    judged(tmp_path, story)


def test_no_exit_while_the_end_of_the_stop_is_not_proven(tmp_path: Path) -> None:
    """The cancel is taken and never done: it is CLOSING, an alarm is raised, and nothing is sold beside the stop."""

    async def story(world: World) -> None:
        trade = await protected(world)
        world.face.venue.change_settings(cancel_delay=timedelta(seconds=60))
        waiting = await desk(world).close(trade.trade_id, timeout_s=30)
        assert waiting.state is TradeState.CLOSING
        assert waiting.reason is not None
        assert waiting.reason.code == "STOP_END_UNPROVEN"
        assert not exits(world, trade.trade_id)
        await until(world, trade.trade_id, is_closed, seconds=60)
        assert held(world) == 0

    judged(tmp_path, story)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "insufficient qty available for order (requested: 10, available: 0)"),
        (403, "potential wash trade detected. use complex orders"),
        (429, "rate limit exceeded"),
    ],
)
def test_a_stop_that_is_refused_for_the_moment_is_tried_again(
    tmp_path: Path, status: int, text: str, times: int
) -> None:
    async def story(world: World) -> None:
        refusal(world, status, text, times)
        trade = await protected(world)
        assert not exits(world, trade.trade_id)
        assert trade.unprotected_us < 8_000_000

    judged(tmp_path, story)


@pytest.mark.parametrize(
    ("status", "text", "times"),
    [
        (403, "insufficient qty available for order (requested: 10, available: 0)", 4),
        (422, "stop price must be less than current price", 1),
        (403, "account is not allowed to short", 1),
        (422, "invalid stop_price 75. sub-penny increment does not fulfill minimum pricing criteria", 2),
    ],
)
def test_a_stop_that_is_refused_for_good_is_an_exit_at_once(tmp_path: Path, status: int, text: str, times: int) -> None:
    async def story(world: World) -> None:
        refusal(world, status, text, times)
        trade = (await opened(world)).trade
        closed = await until(world, trade.trade_id, is_closed, seconds=10)
        assert closed.exit_reason is ExitReason.STOP_FALLBACK
        assert held(world) == 0
        assert len(stops(world, trade.trade_id)) == times

    judged(tmp_path, story)


def test_the_market_has_fallen_through_the_stop_before_it_is_placed(tmp_path: Path) -> None:
    """The venue's own rule refuses it."""

    async def story(world: World) -> None:
        trade = await pending(world)
        world.face.venue.change_settings(is_auto_fill=False)
        quote(world, "74")
        fills(world, trade)
        await asyncio.sleep(1)
        world.face.venue.set_auto_fill(is_on=True)
        world.pump()
        closed = await until(world, trade.trade_id, is_closed, seconds=10)
        assert closed.exit_reason is ExitReason.STOP_FALLBACK
        assert held(world) == 0

    judged(tmp_path, story)


def test_a_stop_that_is_triggered_and_does_not_execute_becomes_an_exit(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        world.face.venue.change_settings(is_auto_fill=False)
        quote(world, "74")
        await asyncio.sleep(4)
        assert not exits(world, trade.trade_id)
        await until(world, trade.trade_id, lambda _: bool(exits(world, trade.trade_id)))
        world.face.venue.set_auto_fill(is_on=True)
        world.pump()
        closed = await until(world, trade.trade_id, is_closed)
        assert closed.exit_reason is ExitReason.STOP_FALLBACK
        assert held(world) == 0

    judged(tmp_path, story)


@pytest.mark.parametrize(
    "how",
    [
        {"kind": FaultKind.ANSWER_STATUS, "status": 503, "is_accepted": False},
        {"kind": FaultKind.ANSWER_STATUS, "status": 503},
        {"kind": FaultKind.LOSE_REQUEST},
        {"kind": FaultKind.LOSE_ANSWER},
    ],
    ids=["not taken", "taken, and an error", "request lost", "answer lost"],
)
def test_the_broker_is_down_while_the_stop_is_placed(tmp_path: Path, how: dict[str, Any]) -> None:
    """Nothing is known and nothing works: one stop stands soon after it is back, however often it was sent."""

    async def story(world: World) -> None:
        trade = await pending(world)
        arms = [Fault(path="/v2", times=0, **how)]
        for fault in arms:
            world.face.venue.faults.arm(fault)
        fills(world, trade)
        await asyncio.sleep(40)
        bare = desk(world).get(trade.trade_id)
        assert bare.protection is not Protection.PROTECTED
        assert bare.unprotected_since is not None
        world.face.venue.faults.clear()
        await until(world, trade.trade_id, is_protected, seconds=20)
        assert held(world) == 10
        working = [order for order in world.face.venue.ledger.orders.values() if order.is_open]
        assert [order.leaves for order in working] == [10]

    judged(tmp_path, story)


# ------------------------------------------------------------------------------------------------------------- entries


@pytest.mark.parametrize("policy", list(OnEntryEnd))
def test_the_entry_is_cancelled_partly_filled(tmp_path: Path, policy: OnEntryEnd) -> None:
    async def story(world: World) -> None:
        # The broker takes the rest back itself, before we ask for it.
        trade = await pending(world, on_entry_end=policy, on_partial=OnPartial.WAIT)
        fills(world, trade, "3")
        await asyncio.sleep(1)
        assert not stops(world, trade.trade_id)
        world.face.venue.end(trade.children[0].client_order_id, Status.CANCELED)
        world.pump()
        if policy is OnEntryEnd.KEEP:
            await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 3)
            return
        closed = await until(world, trade.trade_id, is_closed)
        assert closed.exit_reason is ExitReason.ENTRY_ENDED
        assert held(world) == 0

    judged(tmp_path, story)


def test_the_rest_of_an_entry_goes_so_that_the_stop_can_come(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await pending(world)
        fills(world, trade, "3")
        after = await until(world, trade.trade_id, is_protected, seconds=5)
        assert after.protected_quantity == 3
        assert after.unprotected_us < 5_000_000

    judged(tmp_path, story)


def test_a_fill_of_the_entry_crosses_the_cancel_of_its_rest(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await pending(world)
        arm(world, FaultKind.FILL_CROSSES_CANCEL, method="DELETE", quantity=Decimal(4))
        fills(world, trade, "3")
        await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 7, seconds=10)

    judged(tmp_path, story)


def test_an_entry_that_executes_late_is_protected_too(tmp_path: Path) -> None:
    """The rest was cancelled, proven so, and executes all the same."""

    async def story(world: World) -> None:
        trade = await pending(world)
        fills(world, trade, "3")
        await until(world, trade.trade_id, is_protected)
        fills(world, trade, "7")
        await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 10)
        assert held(world) == 10

    judged(tmp_path, story)


def test_an_entry_that_executes_after_the_trade_was_over_opens_it_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await pending(world)
        await desk(world).cancel_entry(trade.trade_id, "changed my mind")
        await until(world, trade.trade_id, lambda trade: trade.state is TradeState.NEVER_OPENED)
        fills(world, trade, "10")
        await until(world, trade.trade_id, is_protected)

    judged(tmp_path, story)


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
        world.face.venue.replace_by_person(_at_venue(world, trade), change)
        world.pump()
        await asyncio.sleep(1)
        await until(world, trade.trade_id, is_protected)
        (stop,) = [order for order in stops(world, trade.trade_id) if order.is_open]
        assert (stop.leaves_quantity, stop.terms.stop_price) == (10, 75)

    judged(tmp_path, story)


def test_a_person_sells_what_is_held(tmp_path: Path) -> None:
    """No stop is placed for what is not there; asked to close, the trade is over and nothing is sold."""

    async def story(world: World) -> None:
        trade = await protected(world)
        world.face.venue.end(_at_venue(world, trade), Status.CANCELED)
        _sell_by_hand(world, 10)
        await asyncio.sleep(30)
        assert held(world) == 0
        assert desk(world).get(trade.trade_id).protection is Protection.UNPROTECTED
        closed = await desk(world).close(trade.trade_id, timeout_s=10)
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
        world.face.venue.end(_at_venue(world, trade), Status.CANCELED)
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
        closed = await until(world, trade.trade_id, is_closed, seconds=120)
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
