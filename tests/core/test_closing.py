"""An exit is sent with proof, once, and for no more than is held; what is taken back, and what callers ask for."""

from decimal import Decimal

import msgspec

from orderd.core import trade_steps as p
from orderd.core.order import EventSource, Fill, FillStatus, OrderState, Side
from orderd.core.protection import next_step
from orderd.core.trade import (
    Asked,
    ExitReason,
    OnEntryEnd,
    OnPartial,
    Protection,
    TradeOrders,
    TradeState,
)
from orderd.core.trade_life import TradeEvent, follow
from orderd.core.trade_moves import (
    candle_counted,
    close_asked,
    never_sent,
    noted,
    rearmed,
    rounded_toward_market,
    stop_moved,
)
from orderd.core.trade_steps import Refused
from orderd.core.values import BrokerOrderId, FillId, OrderId, Reason
from tests.core.builders import AT, when
from tests.core.trade_model import Market, a_trade, bought, dec, protected


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
        assert market.trade.exit_reason is ExitReason.REQUESTED
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

    def test_a_cancel_that_is_refused_is_asked_for_again_after_a_moment(self) -> None:
        market = protected()
        market.close()
        market.run()
        market.stays(market.stop)
        waits = market.run()
        assert (waits.seconds, market.stop.pending_cancel) == (1, False)
        market.ages_by(1)
        market.run()
        assert market.stop.pending_cancel
        market.stays(market.stop)
        assert market.run().seconds == 2, "ever more slowly"

    def test_a_stop_that_executes_is_why_it_was_closed(self) -> None:
        market = protected()
        market.close(dec(4))
        assert market.trade.is_being_closed
        market.settles()
        assert not market.trade.is_being_closed
        assert market.trade.exit_reason is ExitReason.REQUESTED
        market.fills(market.stop, dec(6), "19")
        market.run()
        assert (market.trade.state, market.trade.exit_reason) == (TradeState.CLOSED, ExitReason.STOP_LOSS)
        market.busts(market.stop, dec(6))
        market.run()
        assert (market.trade.state, market.trade.exit_reason) == (TradeState.OPEN, None)

    def test_what_went_another_way_while_it_was_being_closed_is_closed_externally(self) -> None:
        market = protected()
        market.held = dec(4)
        market.close()
        market.run()
        market.ends(market.stop)
        market.run()
        assert market.exit.terms.quantity == 4
        market.fills(market.exit, dec(4))
        market.run()
        assert (market.trade.state, market.trade.closed_outside) == (TradeState.CLOSED, 6)

    def test_a_part_is_closed_although_less_is_held_than_is_stopped(self) -> None:
        market = protected()
        market.held = dec(3)
        market.close(dec(1))
        market.run()
        market.works(market.stop)  # 9 stay stopped, it thinks
        market.run()
        assert market.stop.pending_replace is not None
        market.works(market.stop)
        assert market.stop.leaves_quantity == 2
        market.run()
        assert market.exit.terms.quantity == 1

    def test_a_trade_whose_entry_was_never_written_ends_when_it_is_closed(self) -> None:
        trade = close_asked(a_trade(), quantity=None, reason=ExitReason.REQUESTED, text="", request_id="", at=AT).after
        step = next_step(trade, TradeOrders(), p.World())
        assert isinstance(step, p.NeverSent)
        over = noted(trade, step, at=AT)
        assert over is not None
        assert (over.after.state, over.after.closing) == (TradeState.NEVER_OPENED, None)
        assert next_step(over.after, TradeOrders(), p.World()) == p.WAIT

    def test_a_position_that_is_gone_while_nothing_protects_it_closes_the_trade_after_a_while(self) -> None:
        market = protected()
        market.held = dec(0)
        market.ends(market.stop, OrderState.CANCELED)
        market.run()
        assert "holds less" in market.last.alarm
        assert market.trade.state is TradeState.OPEN
        market.ages_by(10)
        market.run()
        assert market.trade.state is TradeState.CLOSED
        assert market.trade.exit_reason is ExitReason.EXTERNAL

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

    def test_the_rest_of_the_entry_is_proven_ended_before_an_exit(self) -> None:
        market = bought(Market(on_partial=OnPartial.WAIT), 4)
        market.close()
        assert market.run() == p.ReadOrder(order_id=market.entry.order_id)
        assert market.entry.pending_cancel
        market.ends(market.entry)
        market.run()
        assert market.exit.terms.quantity == 4

    def test_an_exit_that_a_bust_made_too_large_is_taken_back(self) -> None:
        market = protected()
        market.close()
        market.run()
        market.ends(market.stop)
        market.run()
        market.busts(market.entry, dec(4))
        market.run()
        assert market.exit.pending_cancel

    def test_outside_the_session_the_stop_stays_until_the_exit_can_go_out(self) -> None:
        market = protected(takes_exits=False)
        market.close()
        market.run()
        assert not market.stop.pending_cancel
        assert "due at the open" in market.last.alarm
        assert market.last.seconds == 300
        soon = msgspec.structs.replace(market.world(None), opens_in_s=dec(7))
        assert next_step(market.trade, market.all, soon).seconds == 8
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

    def test_where_both_sides_may_work_the_exit_waits_for_the_stop_and_not_for_the_entry(self) -> None:
        market = bought(Market(refuses_opposite=False, on_partial=OnPartial.WAIT), 4)
        market.works(market.stop)
        market.close()
        market.run()
        assert (market.entry.pending_cancel, market.stop.pending_cancel) == (True, True)
        market.ends(market.stop)
        market.run()
        assert (market.exit.terms.quantity, market.entry.is_open) == (4, True)

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

    def test_an_entry_that_was_never_written_is_given_up(self) -> None:
        after = never_sent(a_trade(), "too late", at=AT).after
        assert (after.state, after.closed_time) == (TradeState.NEVER_OPENED, AT)

    def test_a_trade_that_never_opened_says_why_its_entry_did_not(self) -> None:
        market = Market()
        market.ends(market.entry, OrderState.REJECTED, reason=Reason(code="40310000", message="no"))
        market.run()
        assert market.trade.state is TradeState.NEVER_OPENED
        assert market.trade.reason == Reason(code="40310000", message="no")

    def test_a_denied_trade_never_opened(self) -> None:
        denied = a_trade(reason=Reason(code="MAX_ORDER_NOTIONAL"))
        (one,) = follow(denied, TradeOrders(), at=AT)
        assert one.event is TradeEvent.TRADE_NEVER_OPENED
        assert next_step(denied, TradeOrders(), p.World()) == p.WAIT
        assert not follow(a_trade(), TradeOrders(), at=AT)
