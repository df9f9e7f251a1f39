"""The stop follows the fills, and an exit never sells twice: by hand for each rule, and at random for all of them."""

from decimal import Decimal

import msgspec
import pytest

from orderd.core import trade_steps as p
from orderd.core.order import EventSource, OrderState, Side
from orderd.core.protection import next_step
from orderd.core.trade import (
    ExitReason,
    OnPartial,
    Protection,
    TradeState,
)
from orderd.core.trade_life import TradeEvent
from orderd.core.trade_steps import Refused
from orderd.core.values import OrderId
from tests.core.trade_model import Market, bought, closing_now, dec, protected


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

    @pytest.mark.parametrize(
        ("first", "then", "stopped"), [("4", "5.5", "4 5.5"), ("2.5", "7.5", "2.5 7.5"), ("4", "6", "4")]
    )
    def test_a_stop_is_added_where_a_part_of_a_unit_cannot_be_changed(
        self, first: str, then: str, stopped: str
    ) -> None:
        market = bought(Market(refuses_opposite=False, can_replace_splits=False), Decimal(first))
        market.works(market.stop)
        market.fills(market.entry, Decimal(then))
        market.run()
        assert [str(stop.terms.quantity) for stop in market.all.stops] == stopped.split()
        asked = market.all.stops[0].pending_replace
        assert (None if asked is None else asked.terms.quantity) == (Decimal(10) if stopped == "4" else None)

    def test_a_stop_about_a_part_of_a_unit_is_moved_in_place(self) -> None:
        market = bought(Market(refuses_opposite=False, can_replace_splits=False), Decimal("2.5"))
        market.works(market.stop)
        market.trade = msgspec.structs.replace(market.trade, stop_price=Decimal("19.5"))
        market.run()
        assert market.stop.pending_replace is not None
        assert market.stop.pending_replace.terms.stop_price == Decimal("19.5")

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

    def test_a_stop_that_may_not_be_changed_is_replaced_by_another_one(self) -> None:
        market = protected()
        market.trade = msgspec.structs.replace(market.trade, stop_price=Decimal("19.5"))
        world = msgspec.structs.replace(market.world(None), unchangeable=(market.stop.order_id,))
        assert next_step(market.trade, market.all, world) == p.CancelChild(order_id=market.stop.order_id)

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
        assert market.events.count(TradeEvent.DISARMED) == 1, "told once"

    def test_the_end_of_a_trade_is_its_last_word(self) -> None:
        market = protected()
        market.fills(market.stop, dec(10), "19")
        market.run()
        assert market.events[-1] is TradeEvent.TRADE_CLOSED
        assert market.events.count(TradeEvent.TRADE_CLOSED) == 1
        assert (market.trade.protection, market.trade.protected_quantity) == (Protection.NONE, 0)
        assert market.trade.unprotected_since is None

    def test_a_triggered_stop_that_does_not_execute_becomes_a_market_exit(self) -> None:
        market = protected()
        world = msgspec.structs.replace(market.world(None), through_s=dec(5))
        step = next_step(market.trade, market.all, world)
        assert isinstance(step, p.BeginClosing)
        early = msgspec.structs.replace(world, through_s=dec(2))
        assert next_step(market.trade, market.all, early) == p.Wait(seconds=dec(3))


class TestTheRestOfTheAccount:
    def test_entries_of_other_trades_give_way_to_a_stop(self) -> None:
        market = Market()
        market.works(market.entry)
        market.fills(market.entry, dec(10))
        world = msgspec.structs.replace(market.world(dec(10)), opposite_elsewhere=(OrderId("other"),))
        assert next_step(market.trade, market.all, world) == p.CancelChild(order_id=OrderId("other"))
        ending = msgspec.structs.replace(world, opposite_elsewhere=(), is_opposite_ending=True)
        assert next_step(market.trade, market.all, ending) == p.Wait(seconds=dec(1))
        allowed = msgspec.structs.replace(world, refuses_opposite=False)
        assert isinstance(next_step(market.trade, market.all, allowed), p.SendStop)

    def test_and_to_an_exit(self) -> None:
        market = bought(Market())
        market.refuses(market.stop, Refused.FOR_GOOD)
        market.trade = msgspec.structs.replace(market.trade, closing=closing_now())
        world = msgspec.structs.replace(market.world(dec(10)), opposite_elsewhere=(OrderId("other"),))
        assert next_step(market.trade, market.all, world) == p.CancelChild(order_id=OrderId("other"))

    def test_what_others_are_closing_is_not_closed_again(self) -> None:
        market = bought(Market())
        market.refuses(market.stop, Refused.FOR_GOOD)
        market.trade = msgspec.structs.replace(market.trade, closing=closing_now())
        world = msgspec.structs.replace(market.world(dec(10)), closing_elsewhere=dec(4))
        assert next_step(market.trade, market.all, world) == p.SendExit(quantity=dec(6))
        all_of_it = msgspec.structs.replace(world, closing_elsewhere=dec(10))
        step = next_step(market.trade, market.all, all_of_it)
        assert isinstance(step, p.Wait)
        assert "by other orders" in step.alarm


class TestFrozen:
    def test_neither_stops_nor_exits_are_sent(self) -> None:
        market = bought(Market(is_frozen=True))
        assert not market.all.stops
        assert "frozen" in market.last.alarm
        market.is_frozen = False
        market.run()
        assert market.stop.terms.quantity == 10
