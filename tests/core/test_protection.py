"""The stop follows the fills, and an exit never sells twice: by hand for each rule, and at random for all of them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderd.core import protection as p
from orderd.core.order import EventSource, Fill, FillStatus, Order, OrderState, Side
from orderd.core.protection import Refused
from orderd.core.trade import (
    Asked,
    Closing,
    ExitReason,
    OnEntryEnd,
    OnPartial,
    Protection,
    TradeOrders,
    TradeState,
    figures,
)
from orderd.core.trade_life import TradeEvent, follow
from orderd.core.trade_moves import candle_counted, close_asked, noted, rearmed, rounded_toward_market, stop_moved
from orderd.core.values import BrokerOrderId, FillId, OrderId, Reason
from tests.core.builders import AT, when
from tests.core.trade_model import Market, a_trade, dec


def bought(market: Market, quantity: int = 10) -> Market:
    """The entry works and fills."""
    market.works(market.entry)
    market.fills(market.entry, dec(quantity))
    market.run()
    return market


def protected(**changes: object) -> Market:
    market = bought(Market(**changes))
    market.works(market.stop)
    market.run()
    return market


class TestStops:
    def test_a_full_fill_is_covered_by_one_stop(self) -> None:
        market = protected()
        assert market.trade.protection is Protection.PROTECTED
        assert market.stop.terms.quantity == 10
        assert market.stop.intent.side is Side.SELL
        assert market.events[:3] == [TradeEvent.TRADE_OPENED, TradeEvent.UNPROTECTED, TradeEvent.STOP_ARMING]
        assert market.trade.unprotected_since is None
        assert market.trade.unprotected_us > 0

    def test_a_short_trade_has_a_buy_stop(self) -> None:
        market = protected(side=Side.SELL)
        assert market.held == -10
        assert market.stop.intent.side is Side.BUY
        assert market.trade.protection is Protection.PROTECTED

    def test_the_rest_of_a_partly_filled_entry_is_cancelled_first_where_opposite_orders_are_refused(self) -> None:
        market = bought(Market(), 4)
        assert market.entry.pending_cancel
        assert not market.all.stops, "no stop before the entry's end is proven"
        market.ends(market.entry)
        market.run()
        assert market.stop.terms.quantity == 4
        market.works(market.stop)
        market.run()
        assert market.trade.state is TradeState.OPEN, "our own cancel of the rest closes nothing"
        assert market.trade.protection is Protection.PROTECTED

    def test_waiting_for_the_rest_is_alarmed(self) -> None:
        market = bought(Market(on_partial=OnPartial.WAIT), 4)
        assert not market.all.stops
        assert "unprotected" in market.last.alarm
        assert market.trade.protection is Protection.UNPROTECTED

    def test_the_stop_grows_with_the_fills_where_both_may_rest(self) -> None:
        market = bought(Market(refuses_opposite=False), 4)
        market.works(market.stop)
        market.fills(market.entry, dec(3))
        market.run()
        assert market.stop.pending_replace is not None
        assert market.stop.pending_replace.terms.quantity == 7
        market.fills(market.entry, dec(3))
        market.run()
        assert market.stop.pending_replace.terms.quantity == 7, "one change at a time"
        market.works(market.stop)
        market.run()
        assert market.stop.pending_replace.terms.quantity == 10
        market.works(market.stop)
        market.run()
        assert [stop.terms.quantity for stop in market.all.stops] == [10]
        assert market.trade.protection is Protection.PROTECTED

    def test_a_stop_is_added_where_its_quantity_cannot_be_changed(self) -> None:
        market = bought(Market(refuses_opposite=False, can_replace_quantity=False), 4)
        market.works(market.stop)
        market.fills(market.entry, dec(6))
        market.run()
        assert [stop.terms.quantity for stop in market.all.stops] == [4, 6]

    def test_a_refused_change_is_not_asked_for_again(self) -> None:
        market = bought(Market(refuses_opposite=False), 4)
        market.works(market.stop)
        market.fills(market.entry, dec(6))
        market.run()
        market.keeps(market.stop)
        market.run()
        assert [stop.terms.quantity for stop in market.all.stops] == [4, 6]

    def test_no_more_is_armed_than_the_broker_holds(self) -> None:
        market = Market()
        market.works(market.entry)
        market.fills(market.entry, dec(10))
        market.held = dec(6)
        market.run()
        assert market.stop.terms.quantity == 6
        market.works(market.stop)
        market.run()
        assert "holds less" in market.last.alarm

    def test_a_moved_stop_is_replaced_in_place(self) -> None:
        market = protected()
        market.trade = msgspec.structs.replace(market.trade, stop_price=Decimal("19.5"))
        market.run()
        assert market.stop.pending_replace.terms.stop_price == Decimal("19.5")
        market.keeps(market.stop)
        market.run()
        assert market.stop.pending_cancel, "a refused move: a new stop in its place"
        market.ends(market.stop)
        market.run()
        assert market.stop.terms.stop_price == Decimal("19.5")


class TestRefusals:
    def test_what_is_refused_for_now_is_tried_three_times_and_then_sold(self) -> None:
        market = bought(Market())
        for _ in range(4):
            market.refuses(market.stop, Refused.FOR_NOW)
            market.run()
            market.ages_by(1)
            market.run()
        assert len(market.all.stops) == 4
        assert market.exit.terms.quantity == 10
        assert market.trade.closing.reason is ExitReason.STOP_FALLBACK
        assert TradeEvent.STOP_FALLBACK in market.events

    @pytest.mark.parametrize("why", [Refused.FOR_GOOD, Refused.THROUGH_MARKET])
    def test_what_is_refused_for_good_is_sold_at_once(self, why: Refused) -> None:
        market = bought(Market())
        market.refuses(market.stop, why)
        market.run()
        assert market.exit.terms.quantity == 10

    def test_a_price_between_ticks_is_rounded_toward_the_market_once(self) -> None:
        market = Market()
        market.trade = msgspec.structs.replace(market.trade, stop_price=Decimal("19.005"))
        bought(market)
        market.refuses(market.stop, Refused.PRICE_INCREMENT)
        market.run()
        assert market.stop.terms.stop_price == Decimal("19.01")
        market.refuses(market.stop, Refused.PRICE_INCREMENT)
        market.run()
        assert len(market.all.exits) == 1

    def test_a_lost_stop_blocks_everything_else(self) -> None:
        market = bought(Market())
        market.loses(market.stop)
        market.run()
        market.close()
        market.run()
        assert len(market.all.stops) == 1
        assert not market.all.exits
        assert "not known" in market.last.alarm


class TestEndsOfAStop:
    def test_an_expired_stop_is_placed_again_three_times_a_session(self) -> None:
        market = protected()
        for number in range(2, 5):
            market.ends(market.stop, OrderState.EXPIRED)
            market.run()
            assert len(market.all.stops) == number
            market.works(market.stop)
            market.run()
        market.ends(market.stop, OrderState.EXPIRED)
        market.run()
        assert len(market.all.stops) == 4
        assert market.trade.protection is Protection.DISARMED

    def test_a_stop_cancelled_by_an_operator_is_left_alone(self) -> None:
        market = protected()
        market.ends(market.stop, cancel_asked_by=EventSource.CLIENT)
        market.run()
        assert len(market.all.stops) == 1
        assert market.trade.protection is Protection.DISARMED
        assert TradeEvent.DISARMED in market.events

    def test_a_triggered_stop_that_does_not_execute_becomes_a_market_exit(self) -> None:
        market = protected()
        world = msgspec.structs.replace(market.world(None), through_s=dec(5))
        step = p.next_step(market.trade, market.all, world)
        assert isinstance(step, p.BeginClosing)
        early = msgspec.structs.replace(world, through_s=dec(2))
        assert p.next_step(market.trade, market.all, early) == p.Wait(seconds=dec(3))


class TestClosing:
    def test_the_stop_ends_with_proof_before_the_exit_goes_out(self) -> None:
        market = protected()
        market.close()
        market.run()
        assert market.stop.pending_cancel
        assert not market.all.exits
        assert market.run() == p.ReadOrder(order_id=market.stop.order_id)
        market.ages_by(10)
        assert market.run() == p.ReadOrder(order_id=market.stop.order_id, is_late=True)
        assert market.run() == p.ReadOrder(order_id=market.stop.order_id), "the alarm is raised once"
        assert TradeEvent.EXIT_WAITING in market.events
        market.ends(market.stop)
        market.run()
        assert market.exit.terms.quantity == 10
        market.fills(market.exit, dec(10), "21")
        market.run()
        assert market.trade.state is TradeState.CLOSED
        assert market.trade.realized_pnl == 10
        assert market.held == 0

    def test_a_stop_that_fills_meanwhile_is_the_exit(self) -> None:
        market = protected()
        market.close()
        market.run()
        market.fills(market.stop, dec(10), "19")
        market.run()
        assert not market.all.exits
        assert market.trade.state is TradeState.CLOSED
        assert market.trade.realized_pnl == -10

    def test_a_stop_that_fills_in_part_leaves_the_rest_to_the_exit(self) -> None:
        market = protected()
        market.close()
        market.run()
        market.fills(market.stop, dec(4), "19")
        market.ends(market.stop)
        market.run()
        assert market.exit.terms.quantity == 6

    def test_a_partial_close_shrinks_the_stop_and_sells_the_rest(self) -> None:
        market = protected()
        market.close(dec(3))
        market.run()
        assert market.stop.pending_replace.terms.quantity == 7
        market.works(market.stop)
        market.run()
        assert market.exit.terms.quantity == 3
        market.fills(market.exit, dec(3))
        market.run()
        assert market.trade.state is TradeState.OPEN
        assert market.trade.open_quantity == 7
        assert market.trade.protection is Protection.PROTECTED

    def test_what_a_failed_exit_leaves_is_protected_again(self) -> None:
        market = protected()
        market.close()
        market.run()
        market.ends(market.stop)
        market.run()
        market.fills(market.exit, dec(4))
        market.ends(market.exit, OrderState.EXPIRED)
        market.run()
        assert TradeEvent.EXIT_FAILED in market.events
        assert market.stop.terms.quantity == 6
        assert market.trade.state is TradeState.OPEN

    def test_nothing_is_sold_that_the_broker_does_not_hold(self) -> None:
        market = protected()
        market.held = dec(0)
        market.close()
        market.run()
        market.ends(market.stop)
        market.run()
        assert not market.all.exits
        assert market.trade.state is TradeState.CLOSED
        assert market.trade.exit_reason is ExitReason.EXTERNAL
        assert market.trade.closed_outside == 10

    def test_a_pending_trade_is_closed_by_cancelling_its_entry(self) -> None:
        market = Market()
        market.works(market.entry)
        market.close()
        market.run()
        assert market.entry.pending_cancel
        market.ends(market.entry)
        market.run()
        assert market.trade.state is TradeState.NEVER_OPENED
        assert market.trade.closing is None

    def test_outside_the_session_the_stop_stays_until_the_exit_can_go_out(self) -> None:
        market = protected(takes_exits=False)
        market.close()
        market.run()
        assert not market.stop.pending_cancel
        assert "due at the open" in market.last.alarm
        market.takes_exits = True
        market.run()
        assert market.stop.pending_cancel

    def test_and_what_fills_there_is_protected_although_it_is_to_be_closed(self) -> None:
        market = Market(takes_exits=False, refuses_opposite=False)
        market.works(market.entry)
        market.close()
        market.fills(market.entry, dec(10))
        market.run()
        assert market.stop.terms.quantity == 10
        assert not market.all.exits

    def test_an_entry_that_ends_partly_filled_is_closed_by_the_policy(self) -> None:
        market = Market(on_partial=OnPartial.WAIT)
        bought(market, 4)
        market.ends(market.entry, OrderState.EXPIRED)
        market.run()
        assert market.exit.terms.quantity == 4
        assert market.trade.exit_reason is ExitReason.ENTRY_ENDED

    def test_or_kept_and_protected(self) -> None:
        market = Market(on_partial=OnPartial.WAIT, on_entry_end=OnEntryEnd.KEEP)
        bought(market, 4)
        market.ends(market.entry, OrderState.EXPIRED)
        market.run()
        assert market.stop.terms.quantity == 4
        assert not market.all.exits

    def test_an_exit_that_nobody_waits_for_is_tried_again_ever_more_slowly(self) -> None:
        market = bought(Market())
        market.refuses(market.stop, Refused.FOR_GOOD)
        market.run()
        for number in range(1, 9):
            market.ends(market.exit, OrderState.REJECTED)
            market.run()
            assert len(market.all.exits) == number
            market.ages_by(60)
            market.run()
            assert len(market.all.exits) == number + 1


class TestTheRestOfTheAccount:
    def test_entries_of_other_trades_give_way_to_a_stop(self) -> None:
        market = Market()
        market.works(market.entry)
        market.fills(market.entry, dec(10))
        world = msgspec.structs.replace(market.world(dec(10)), opposite_elsewhere=(OrderId("other"),))
        assert p.next_step(market.trade, market.all, world) == p.CancelChild(order_id=OrderId("other"))
        allowed = msgspec.structs.replace(world, refuses_opposite=False)
        assert isinstance(p.next_step(market.trade, market.all, allowed), p.SendStop)

    def test_and_to_an_exit(self) -> None:
        market = bought(Market())
        market.refuses(market.stop, Refused.FOR_GOOD)
        market.trade = msgspec.structs.replace(market.trade, closing=closing_now())
        world = msgspec.structs.replace(market.world(dec(10)), opposite_elsewhere=(OrderId("other"),))
        assert p.next_step(market.trade, market.all, world) == p.CancelChild(order_id=OrderId("other"))

    def test_what_others_are_closing_is_not_closed_again(self) -> None:
        market = bought(Market())
        market.refuses(market.stop, Refused.FOR_GOOD)
        market.trade = msgspec.structs.replace(market.trade, closing=closing_now())
        world = msgspec.structs.replace(market.world(dec(10)), closing_elsewhere=dec(4))
        assert p.next_step(market.trade, market.all, world) == p.SendExit(quantity=dec(6))
        all_of_it = msgspec.structs.replace(world, closing_elsewhere=dec(10))
        step = p.next_step(market.trade, market.all, all_of_it)
        assert isinstance(step, p.Wait)
        assert "by other orders" in step.alarm


class TestWhatIsTakenBack:
    def test_a_bust_shrinks_the_stop(self) -> None:
        market = protected(can_replace_quantity=False)
        market.busts(market.entry, dec(4))
        market.run()
        assert market.stop.pending_cancel
        market.ends(market.stop)
        market.run()
        assert market.stop.terms.quantity == 6

    def test_more_closed_than_opened_is_alarmed_and_nothing_more_is_sold(self) -> None:
        market = protected()
        market.fills(market.stop, dec(4), "19")
        market.busts(market.entry, dec(8))
        market.run()
        assert market.stop.pending_cancel
        market.ends(market.stop)
        market.run()
        assert "more was closed than opened" in market.last.alarm

    def test_a_closed_trade_opens_again_when_its_exit_is_taken_back(self) -> None:
        market = protected()
        market.fills(market.stop, dec(10), "19")
        market.run()
        assert market.trade.state is TradeState.CLOSED
        market.busts(market.stop, dec(3))
        market.run()
        assert TradeEvent.TRADE_REOPENED in market.events
        assert market.trade.closed_time is None
        assert market.stop.terms.quantity == 3

    def test_fees_are_taken_off_the_result(self) -> None:
        market = protected()
        market.fills(market.stop, dec(10), "19")
        sold = Fill(
            fill_id=FillId("f-1"),
            broker_order_id=BrokerOrderId("b-1"),
            cum_after=dec(10),
            quantity=dec(10),
            price=dec(19),
            status=FillStatus.LIVE,
            source=EventSource.BROKER_STREAM,
            occurred_time=AT,
            recorded_time=AT,
            fee=Decimal("0.25"),
        )
        market.change(market.stop, fills=(sold, msgspec.structs.replace(sold, status=FillStatus.BUSTED)))
        market.run()
        assert market.trade.realized_pnl == Decimal("-10.25")

    def test_an_unknown_multiplier_has_no_result(self) -> None:
        market = Market()
        market.trade = msgspec.structs.replace(market.trade, multiplier=None)
        bought(market)
        market.works(market.stop)
        market.fills(market.stop, dec(10), "19")
        market.run()
        assert market.trade.state is TradeState.CLOSED
        assert market.trade.realized_pnl is None


class TestRequests:
    def test_a_move_is_remembered_by_its_request(self) -> None:
        moved = stop_moved(a_trade(), Decimal("19.5"), request_id="m-1", text="trail", at=AT).after
        assert moved.stop_price == Decimal("19.5")
        assert moved.asked == (Asked(request_id="move:m-1", content="19.5"),)
        assert moved.reason is not None
        again = stop_moved(moved, Decimal("19.6"), request_id="", text="", at=AT).after
        assert again.asked == moved.asked
        assert again.reason == moved.reason

    def test_a_disarmed_trade_is_protected_again_when_asked(self) -> None:
        market = protected()
        market.ends(market.stop, cancel_asked_by=EventSource.CLIENT)
        market.run()
        market.trade = rearmed(market.trade, None, at=AT, session="2026-01-05").after
        market.run()
        assert len(market.all.stops) == 2
        other = rearmed(market.trade, Decimal("18.5"), at=AT, session="2026-01-05").after
        assert other.stop_price == Decimal("18.5")

    def test_a_candle_counts_once(self) -> None:
        first = candle_counted(a_trade(), when(60), at=AT)
        assert first is not None
        assert first.after.candles == 1
        assert candle_counted(first.after, when(60), at=AT) is None
        later = candle_counted(first.after, when(120), at=AT)
        assert later is not None
        assert later.after.candles == 2

    def test_closing_a_part_and_then_more_closes_down_to_the_lesser(self) -> None:
        market = protected()
        market.close(dec(3))
        market.close(dec(2))
        assert market.trade.closing is not None
        assert market.trade.closing.target == 7
        market.close()
        assert market.trade.closing.target == 0

    def test_a_request_to_close_is_remembered(self) -> None:
        asked = close_asked(
            a_trade(), quantity=None, reason=ExitReason.REQUESTED, text="", request_id="c-1", at=AT
        ).after
        assert asked.asked == (Asked(request_id="close:c-1", content="all"),)

    def test_nothing_is_noted_for_what_orders_tell_themselves(self) -> None:
        change = p.ReplaceStop(order_id=OrderId("x"), quantity=dec(1), price=dec(1))
        assert noted(a_trade(), change, at=AT) is None
        assert noted(a_trade(), p.ReadOrder(order_id=OrderId("x"), is_late=True), at=AT) is None

    def test_a_short_stop_is_rounded_down(self) -> None:
        trade = a_trade(Side.SELL, stop_price=Decimal("21.006"))
        assert rounded_toward_market(trade, Decimal("0.01")) == Decimal("21.00")

    def test_a_denied_trade_never_opened(self) -> None:
        denied = a_trade(reason=Reason(code="MAX_ORDER_NOTIONAL"))
        (one,) = follow(denied, TradeOrders(), at=AT)
        assert one.event is TradeEvent.TRADE_NEVER_OPENED
        assert p.next_step(denied, TradeOrders(), p.World()) == p.WAIT
        assert not follow(a_trade(), TradeOrders(), at=AT)


def closing_now() -> Closing:
    return Closing(target=dec(0), reason=ExitReason.STOP_FALLBACK, asked_time=AT, first_exit=1)


class TestFrozen:
    def test_neither_stops_nor_exits_are_sent(self) -> None:
        market = bought(Market(is_frozen=True))
        assert not market.all.stops
        assert "frozen" in market.last.alarm
        market.is_frozen = False
        market.run()
        assert market.stop.terms.quantity == 10


# ------------------------------------------------------------------------------------------------------------ at random


def _is_known(one: Order) -> bool:
    return one.is_open and one.state is not OrderState.UNKNOWN


def _fresh_closer(market: Market, one: Order) -> bool:
    return one.state is OrderState.SUBMITTED and one is not market.entry and not one.pending_cancel


HAPPENINGS: dict[str, tuple[Callable[[Market, Order], bool], Callable[[Market, Order, int], None]]] = {
    "fill": (lambda _, o: _is_known(o), lambda m, o, much: m.fills(o, dec(much))),
    "work": (lambda _, o: _is_known(o), lambda m, o, _much: m.works(o)),
    "cancel": (lambda _, o: o.is_open and o.pending_cancel, lambda m, o, _much: m.ends(o)),
    "refuse": (_fresh_closer, lambda m, o, much: m.refuses(o, list(Refused)[much % 4])),
    "lose": (_fresh_closer, lambda m, o, _much: m.loses(o)),
    "find": (lambda _, o: o.state is OrderState.UNKNOWN, lambda m, o, _much: m.works(o)),
    "expire": (lambda _, o: _is_known(o), lambda m, o, _much: m.ends(o, OrderState.EXPIRED)),
    "keep": (lambda _, o: o.pending_replace is not None, lambda m, o, _much: m.keeps(o)),
    "close": (lambda _m, _o: True, lambda m, _o, _much: m.close()),
    "part": (lambda _m, _o: True, lambda m, _o, much: m.close(dec(much))),
    "age": (lambda _m, _o: True, lambda m, _o, much: m.ages_by(much)),
    "bust": (lambda _, o: o.filled_quantity > 0, lambda m, o, much: m.busts(o, dec(much))),
    "away": (lambda m, _o: m.held * m.trade.sign >= 1, lambda m, _o, _much: m.goes_away(dec(1))),
}
HAPPENS = st.lists(st.tuples(st.sampled_from(sorted(HAPPENINGS)), st.integers(0, 7), st.integers(1, 10)), max_size=40)


@settings(max_examples=400, deadline=None)
@given(
    happens=HAPPENS,
    side=st.sampled_from(list(Side)),
    on_partial=st.sampled_from(list(OnPartial)),
    on_entry_end=st.sampled_from(list(OnEntryEnd)),
    refuses_opposite=st.booleans(),
    can_replace_quantity=st.booleans(),
)
def test_whatever_happens_it_never_sells_twice_and_ends_protected_or_closed(
    happens: list[tuple[str, int, int]],
    **how: Any,  # noqa: ANN401 - the fields of a market
) -> None:
    """`Market._check` judges each thing that is sent; here is what it must come to once the broker answers again."""
    market = Market(**how)
    market.run()
    for what, which, much in happens:
        one = list(market.orders.values())[which % len(market.orders)]
        may, does = HAPPENINGS[what]
        if may(market, one):
            does(market, one, much)
        market.run()
    for one in list(market.orders.values()):
        if one.state is OrderState.UNKNOWN:
            market.works(one)
    market.settles()
    sums = figures(market.trade, market.all)
    if sums.open <= 0:
        assert not any(one.is_open for one in market.all.closers)
    elif not market.trade.is_disarmed and not (market.entry.is_open and market.on_partial is OnPartial.WAIT):
        held = max(market.held * market.trade.sign, dec(0))
        assert sums.working_leaves == min(sums.open, held) or market.is_robbed, market.taken[-6:]
