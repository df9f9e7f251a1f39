"""A trade over a split and over its option's end: its figures, its stop, and what is left alone until it is told."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from orderd.core import trade_steps as p
from orderd.core.activities import ActivityKind
from orderd.core.adjustments import Adjustment, Split
from orderd.core.order import OrderState, Side
from orderd.core.trade import ExitReason, OnEntryEnd, OnPartial, Protection, TradeState, figures, filled
from orderd.core.trade_adjust import end_taken, split_taken
from orderd.core.trade_moves import close_asked, rearmed, stop_moved
from tests.core.builders import AT
from tests.core.trade_model import Market, a_trade, bought, dec, protected

D = Decimal


def split(second: int, new: int = 3, old: int = 1) -> Split:
    return Split(at=AT + timedelta(seconds=second), new=dec(new), old=dec(old), split_id=f"s{second}")


@pytest.mark.parametrize(
    ("side", "new", "old", "quantity", "price"),
    [
        (Side.BUY, 3, 1, "30", "6.34"),
        (Side.SELL, 3, 1, "30", "7.00"),
        (Side.BUY, 1, 10, "1", "190"),
        (Side.SELL, 3, 2, "15", "14"),
    ],
)
def test_the_stop_follows_in_quantity_and_price(side: Side, new: int, old: int, quantity: str, price: str) -> None:
    market = protected(side=side)
    market.splits(new, old)
    market.run()
    assert market.open == D(quantity)
    assert market.stop.pending_replace is not None
    assert (market.stop.pending_replace.terms.quantity, market.stop.pending_replace.terms.stop_price) == (
        D(quantity),
        D(price),
    )
    market.works(market.stop)
    market.run()
    assert (market.trade.protection, market.trade.protected_quantity) == (Protection.PROTECTED, D(quantity))
    assert market.trade.average_entry_price == (D(20) * old / new).quantize(D("1e-18"))
    market.close()
    market.settles()
    assert (market.trade.state, market.held) == (TradeState.CLOSED, 0)


def test_a_stop_that_cannot_be_changed_ends_before_another_one_is_placed() -> None:
    market = protected(can_replace_quantity=False)
    market.splits(3, 1)
    market.run()
    assert market.stop.pending_cancel
    assert len(market.all.stops) == 1
    market.ends(market.stop)
    market.run()
    assert (market.stop.terms.quantity, market.stop.terms.stop_price) == (30, D("6.34"))


def test_a_stop_that_has_executed_in_part_before_it_is_not_changed() -> None:
    market = protected()
    market.fills(market.stop, dec(4), "19")
    market.run()
    market.splits(3, 1)
    market.run()
    assert market.stop.pending_cancel
    market.ends(market.stop)
    market.run()
    assert (market.open, market.stop.terms.quantity) == (18, 18)


def test_what_the_old_stop_sold_after_it_leaves_the_rest() -> None:
    market = protected()
    market.held = D(30)
    market.fills(market.stop, dec(10), "6.50")
    market.run()
    assert market.trade.state is TradeState.CLOSED
    late = split_taken(market.trade, split(market.now - 3), tick=None, at=AT)
    assert late is not None
    market._record(late)
    market.run()
    assert (market.trade.state, market.open, market.stop.terms.quantity) == (TradeState.OPEN, 20, 20)


def test_nothing_is_sent_while_a_split_is_suspected() -> None:
    market = bought(Market(on_partial=OnPartial.WAIT, on_entry_end=OnEntryEnd.KEEP), 4)
    market.is_split_suspected = True
    market.ends(market.entry)
    market.run()
    assert not market.all.stops
    assert isinstance(market.last, p.Wait)
    assert "as after a split" in market.last.alarm
    assert p.ReadPosition() in market.taken
    market.is_split_suspected = False
    market.run()
    assert market.stop.terms.quantity == 4


@pytest.mark.parametrize(
    ("quantity", "price", "is_left"),
    [("30", "6.34", True), ("30", "5", False), ("10", "6.34", False), ("30", "19", False)],
)
def test_what_the_broker_makes_of_the_stop_is_not_undone(quantity: str, price: str, is_left: bool) -> None:
    market = protected()
    terms = msgspec.structs.replace(market.stop.terms, quantity=D(quantity), stop_price=D(price))
    market.change(market.stop, terms=terms)
    market.run()
    assert (market.stop.pending_replace is None) is is_left
    market.change(market.stop, terms=terms, pending_replace=None)
    market.splits(3, 1)
    market.change(market.stop, terms=msgspec.structs.replace(terms, stop_price=None))
    market.run()
    assert market.stop.pending_replace is not None


def test_of_two_stops_from_before_it_one_ends_first() -> None:
    market = bought(Market(refuses_opposite=False, can_replace_quantity=False), 4)
    market.works(market.stop)
    market.fills(market.entry, dec(6))
    market.run()
    market.works(market.stop)
    market.run()
    assert len([stop for stop in market.all.stops if stop.is_open]) == 2
    first = market.all.stops[0]
    changed = msgspec.structs.replace(first.terms, quantity=dec(12), stop_price=D("6.34"))
    market.change(first, terms=changed)
    market.run()
    market.splits(3, 1)
    market.run()
    assert [stop.pending_cancel for stop in market.all.stops] == [False, True]
    market.settles()
    live = [stop.terms for stop in market.all.stops if stop.is_open]
    assert {terms.stop_price for terms in live} == {D("6.34")}
    assert sum(terms.quantity or 0 for terms in live) == 30


@pytest.mark.parametrize("quantity", [0, 4])
def test_an_entry_from_before_it_ends(quantity: int) -> None:
    market = Market(refuses_opposite=False, on_partial=OnPartial.WAIT)
    market.works(market.entry)
    market.fills(market.entry, dec(quantity))
    market.splits(3, 1)
    market.run()
    assert market.entry.pending_cancel


def test_a_refusal_of_a_stop_from_before_it_says_nothing() -> None:
    market = bought(Market())
    market.refuses(market.stop, p.Refused.THROUGH_MARKET)
    market.splits(3, 1)
    market.run()
    assert not market.all.exits
    assert (market.stop.state, market.stop.terms.stop_price) == (OrderState.SUBMITTED, D("6.34"))
    market.refuses(market.stop, p.Refused.THROUGH_MARKET)
    market.run()
    assert market.all.exits, "one at the new price does"


def test_figures_over_several_splits_are_rounded_once_each() -> None:
    market = Market()
    for _ in range(3):
        market.fills(market.entry, dec(1))
    market.splits(1, 3)
    assert filled(market.trade, market.entry) == 1
    market.fills(market.entry, dec(2), "60")
    market.splits(2, 1)
    sums = figures(market.trade, market.all)
    assert (sums.entered, sums.entered_value, sums.average_entry) == (6, 180, 30)
    untimed = tuple(msgspec.structs.replace(fill, occurred_time=None) for fill in market.entry.fills)
    assert filled(market.trade, msgspec.structs.replace(market.entry, fills=untimed)) == 6


def test_a_split_is_taken_once_and_only_by_what_is_older() -> None:
    trade = a_trade()
    assert split_taken(trade, split(0), tick=None, at=AT) is None
    taken = split_taken(trade, split(1), tick=None, at=AT)
    assert taken is not None
    assert taken.after.stop_price == (D(19) / D(3)).quantize(D("1e-18"))
    assert split_taken(taken.after, split(1), tick=None, at=AT) is None
    earlier = split_taken(msgspec.structs.replace(taken.after, closed_outside=dec(3)), split(0, 2), tick=None, at=AT)
    assert earlier is None
    older = msgspec.structs.replace(taken.after, created_time=AT - timedelta(days=1), closed_outside=dec(3))
    before = split_taken(older, split(0, 2), tick=None, at=AT)
    assert before is not None
    assert [each.split_id for each in before.after.splits] == ["s0", "s1"]
    assert before.after.closed_outside == 0


def test_a_stop_whose_price_was_said_after_it_stays() -> None:
    later = AT + timedelta(seconds=5)
    for told in (
        stop_moved(a_trade(), D(6), request_id="", text="", at=later).after,
        rearmed(a_trade(), D(6), at=later, session="").after,
    ):
        taken = split_taken(told, split(1), tick=D("0.01"), at=later)
        assert taken is not None
        assert taken.after.stop_price == 6
    kept = rearmed(a_trade(), None, at=later, session="").after
    taken = split_taken(kept, split(1), tick=D("0.01"), at=later)
    assert taken is not None
    assert taken.after.stop_price == D("6.34")


def test_what_is_to_be_left_of_a_closing_is_restated() -> None:
    trade = msgspec.structs.replace(a_trade(), open_quantity=dec(10))
    asked = close_asked(trade, quantity=dec(4), reason=ExitReason.REQUESTED, text="", request_id="", at=AT)
    taken = split_taken(asked.after, split(1), tick=None, at=AT)
    assert taken is not None
    assert taken.after.closing is not None
    assert taken.after.closing.target == 18


@pytest.mark.parametrize(
    ("quantity", "state", "reason"), [(4, TradeState.OPEN, None), (10, TradeState.CLOSED, ExitReason.EXPIRY)]
)
def test_an_end_closes_at_nothing(quantity: int, state: TradeState, reason: ExitReason | None) -> None:
    market = bought(Market())
    market.works(market.stop)
    market.run()
    ended = Adjustment(adjustment_id="e", kind=ActivityKind.EXPIRED, effective_time=AT)
    market.held -= quantity
    market._record(end_taken(market.trade, ended, dec(quantity), at=AT))
    market.settles()
    assert (market.trade.state, market.trade.exit_reason) == (state, reason)
    assert market.open == 10 - quantity
    assert market.trade.realized_pnl == -20 * quantity
    assert market.trade.average_exit_price == 0
    assert market.trade.reason is not None
    assert (market.trade.reason.code, market.trade.reason.message) == (
        "EXPIRED",
        f"{quantity} closed at 0: the option was expired",
    )
