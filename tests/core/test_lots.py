"""First in, first out: which quantity of which order closed which, and what it brought."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.core.adjustments import Split
from orderd.core.keys import completed_trade_id
from orderd.core.lots import MOST_FLATS, Change, Charged, Fills, Ledger, apply, restarts, straddles
from orderd.core.order import Side
from orderd.core.slices import Booked, Slice, Ticket
from orderd.core.trade import ExitReason
from orderd.core.values import FillId, OrderId
from tests.core.builders import when

BUY, SELL = Side.BUY, Side.SELL


class Books:
    """A ledger with its slices, as the desk keeps them: what `needs` names is given, nothing else."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.slices: dict[str, Slice] = {}
        self.changed: tuple[Slice, ...] = ()
        self.asked: tuple[object, ...] = ()
        self.told: dict[str, Booked] = {}
        """Every fill, as an event that takes it back would tell it."""

    def take(self, change: Change) -> "Books":
        if isinstance(change, Fills):
            self.told |= {each.fill_id: msgspec.structs.replace(each, sequence=1000) for each in change.added}
        self.asked = restarts(self.ledger, change)
        since, known = None, list[Slice]()
        for since in self.asked:
            known = [each for each in self.slices.values() if since is None or any(f.key > since for f in each.exits)]
            if not straddles(known, since):
                break
        outcome = apply(self.ledger, change, self.slices.get, since=since, known=known)
        self.ledger, self.changed = outcome.ledger, outcome.changed
        for each in outcome.changed:
            before = self.slices.get(each.slice_id)
            assert each.version == (before.version if before else 0) + 1
            self.slices[each.slice_id] = each
        return self

    @property
    def live(self) -> list[Slice]:
        return [each for each in self.slices.values() if each.quantity]


def fill(order_id: str, side: Side, quantity: str, price: str | None, number: int, **changes: object) -> Booked:
    """The fill at second `number` of this order; `ticket` fields may be given too."""
    ticket = {name: changes.pop(name) for name in tuple(changes) if name in Ticket.__struct_fields__}
    booked = Booked(
        ticket=Ticket(order_id=OrderId(order_id), side=side, **ticket),
        fill_id=FillId(f"{order_id}-{number}"),
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        at=when(number),
        sequence=number,
    )
    return msgspec.structs.replace(booked, **changes)


def folded(*fills: Booked) -> Books:
    books = Books()
    for each in fills:
        books.take(Fills(added=(each,)))
    return books


def fills_of(trade: Slice) -> list[str]:
    return [each.fill_id for each in (*trade.entries, *trade.exits)]


def of(entry: str, exit_: str) -> str:
    return completed_trade_id(entry, exit_)


def test_a_long_trade_in_figures() -> None:
    books = folded(
        fill("in", BUY, "500", "49.50", 0, fee=Decimal("1.25"), trade_id="t-1", decision_id="d-1", trace_id="tr-1"),
        fill("out", SELL, "500", "50.10", 90, fee=Decimal("2.75"), reason=ExitReason.STOP_LOSS, is_exit=True),
    )
    trade = books.slices[of("in", "out")]
    assert (trade.side, trade.quantity, trade.entry_price, trade.exit_price) == (
        BUY,
        500,
        Decimal("49.5"),
        Decimal("50.1"),
    )
    assert (trade.gross, trade.fees, trade.pnl) == (300, 4, 296)
    assert trade.pnl_fraction == Decimal("0.011959595959595960")
    assert (trade.entry_time, trade.exit_time, trade.duration) == (when(0), when(90), timedelta(seconds=90))
    assert (trade.exit.reason, trade.entry.trade_id, trade.entry.decision_id) == (ExitReason.STOP_LOSS, "t-1", "d-1")
    assert (fills_of(trade), trade.version) == (["in-0", "out-90"], 1)
    assert books.ledger.quantity == 0


def test_a_short_trade_earns_when_the_price_falls() -> None:
    books = folded(fill("in", SELL, "10", "20", 0), fill("out", BUY, "10", "18.5", 1))
    trade = books.slices[of("in", "out")]
    assert (trade.side, trade.pnl, trade.pnl_fraction) == (SELL, 15, Decimal("0.075"))


def test_the_oldest_lot_goes_first_and_a_partial_exit_is_a_slice() -> None:
    books = folded(
        fill("a", BUY, "10", "10", 0),
        fill("b", BUY, "10", "12", 1),
        fill("x", SELL, "15", "13", 2),
        fill("y", SELL, "2", "14", 3),
    )
    assert {k: v.quantity for k, v in books.slices.items()} == {of("a", "x"): 10, of("b", "x"): 5, of("b", "y"): 2}
    assert [each.pnl for each in books.slices.values()] == [30, 5, 4]
    assert books.ledger.quantity == 3


def test_fills_of_one_exit_order_are_one_completed_trade_that_grows() -> None:
    books = folded(fill("in", BUY, "10", "10", 0), fill("out", SELL, "4", "11", 1), fill("out", SELL, "6", "12", 2))
    trade = books.slices[of("in", "out")]
    assert (trade.version, trade.quantity, trade.exit_price, trade.pnl) == (2, 10, Decimal("11.6"), 16)
    assert not trade.is_restated
    assert fills_of(trade) == ["in-0", "out-1", "out-2"]


def test_a_reversal_closes_and_then_opens() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("b", SELL, "25", "11", 1, fee=Decimal("0.25")))
    assert books.slices[of("a", "b")].quantity == 10
    assert books.ledger.quantity == -15
    books.take(Fills(added=(fill("c", BUY, "15", "9", 2),)))
    trade = books.slices[of("b", "c")]
    assert (trade.side, trade.quantity, trade.gross, trade.fees) == (SELL, 15, 30, Decimal("0.15"))


def test_two_orders_that_work_against_each_other_are_two_completed_trades() -> None:
    books = folded(
        fill("a", BUY, "5", "10", 0),
        fill("b", SELL, "8", "11", 1),
        fill("a", BUY, "5", "9", 2),
        fill("c", SELL, "2", "9", 3),
    )
    assert {each.slice_id: each.side for each in books.live} == {
        of("a", "b"): BUY,
        of("b", "a"): SELL,
        of("a", "c"): BUY,
    }


def test_a_closing_order_never_opens() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("x", SELL, "14", "11", 1, is_exit=True))
    assert (books.ledger.quantity, len(books.live), books.live[0].quantity) == (0, 1, 10)
    books.take(Fills(added=(fill("b", BUY, "4", "10", 2),)))
    assert (books.ledger.quantity, len(books.live)) == (4, 1)


def test_an_exit_that_is_told_before_its_entry_finds_it_when_it_comes() -> None:
    books = folded(fill("x", SELL, "10", "11", 5, is_exit=True))
    assert not books.live
    books.take(Fills(added=(fill("a", BUY, "10", "10", 1),)))
    assert (books.live[0].pnl, books.live[0].version, books.ledger.unmatched) == (10, 1, ())


def test_fees_are_shared_out_to_the_last_digit() -> None:
    books = folded(
        fill("a", BUY, "3", "10", 0, fee=Decimal("0.10")), *(fill(f"x{n}", SELL, "1", "11", n) for n in range(1, 4))
    )
    assert [str(each.fees) for each in books.live] == [
        "0.033333333333333333",
        "0.033333333333333334",
        "0.033333333333333333",
    ]
    assert sum(each.fees for each in books.live) == Decimal("0.10")


def test_a_contract_counts_its_multiplier_and_one_of_unknown_size_has_no_result() -> None:
    known = folded(
        fill("a", BUY, "2", "1.50", 0, multiplier=Decimal(100)), fill("x", SELL, "2", "2", 1, multiplier=Decimal(100))
    ).live[0]
    assert (known.cost, known.pnl) == (300, 100)
    unknown = folded(fill("a", BUY, "2", "1.50", 0, multiplier=None), fill("x", SELL, "2", "2", 1)).live[0]
    assert (unknown.cost, unknown.gross, unknown.pnl, unknown.pnl_fraction) == (None, None, None, None)
    assert (unknown.quantity, unknown.entry_price) == (2, Decimal("1.5"))


def test_what_somebody_else_closed_has_no_price_and_no_result() -> None:
    books = folded(
        fill("a", BUY, "10", "10", 0), fill("gone", SELL, "4", None, 1, is_exit=True), fill("x", SELL, "6", "11", 2)
    )
    gone, sold = books.live
    assert (gone.exit_price, gone.pnl, gone.cost, sold.pnl) == (None, None, 40, 6)


def test_an_entry_nobody_told_the_price_of_has_no_cost() -> None:
    books = folded(fill("a", BUY, "10", None, 0), fill("x", SELL, "4", "11", 1), fill("x", SELL, "6", "11", 2))
    assert [(each.quantity, each.cost, each.pnl) for each in books.live] == [(10, None, None)]


def test_what_cost_nothing_has_no_fraction() -> None:
    trade = folded(fill("a", BUY, "10", "0", 0), fill("x", SELL, "10", "1", 1)).live[0]
    assert (trade.pnl, trade.pnl_fraction) == (10, None)


def test_an_expired_contract_is_closed_at_nothing() -> None:
    size = Decimal(100)
    trade = folded(
        fill("a", BUY, "1", "2.5", 0, multiplier=size),
        fill("x", SELL, "1", "0", 1, is_exit=True, reason=ExitReason.EXPIRY, multiplier=size),
    ).live[0]
    assert (trade.pnl, trade.pnl_fraction, trade.exit.reason) == (-250, -1, ExitReason.EXPIRY)


# --------------------------------------------------------------------------------------------------------- restatements


def test_a_bust_restates_the_slices_it_touches_and_no_other() -> None:
    books = folded(
        fill("a", BUY, "10", "10", 0),
        fill("b", BUY, "10", "20", 1),
        fill("x", SELL, "10", "15", 2),
        fill("y", SELL, "4", "25", 3),
        fill("y", SELL, "6", "26", 4),
    )
    books.take(Fills(removed=(books.told["y-3"],)))
    assert books.asked == (None,)
    assert [(each.slice_id, each.version, each.quantity, each.pnl) for each in books.changed] == [
        (of("b", "y"), 3, 6, 36)
    ]
    assert books.ledger.quantity == 4


def test_the_bust_of_a_whole_exit_leaves_an_empty_slice() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("x", SELL, "10", "15", 1))
    books.take(Fills(removed=(books.told["x-1"],)))
    (gone,) = books.changed
    assert (gone.version, gone.quantity, gone.pnl, fills_of(gone)) == (2, 0, 0, [])
    assert (gone.entry_time, gone.exit_time, gone.duration) == (None, None, None)
    assert (gone.entry_price, gone.exit_price, gone.pnl_fraction) == (None, None, None)
    assert books.ledger.quantity == 10
    books.take(Fills(added=(fill("x", SELL, "10", "16", 3),)))
    assert (books.changed[0].version, books.changed[0].pnl) == (3, 60)


def test_the_bust_of_an_entry_moves_what_its_exit_closed() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("b", BUY, "10", "12", 1), fill("x", SELL, "10", "15", 2))
    books.take(Fills(removed=(books.told["a-0"],)))
    assert {each.slice_id: each.quantity for each in books.changed} == {of("a", "x"): 0, of("b", "x"): 10}
    assert {each.slice_id: each.version for each in books.changed} == {of("a", "x"): 2, of("b", "x"): 1}


def test_a_correction_changes_the_price_of_what_is_closed() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("x", SELL, "10", "15", 1))
    better = fill("x", SELL, "10", "15.01", 1, fill_id=FillId("x-c"), sequence=9)
    books.take(Fills(removed=(books.told["x-1"],), added=(better,)))
    assert [(each.version, each.pnl, each.is_restated) for each in books.changed] == [(2, Decimal("50.10"), True)]


def test_a_fill_that_explains_an_inferred_one_of_an_open_lot_touches_nothing_closed() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("x", SELL, "10", "15", 1), fill("b", BUY, "7", "9", 3))
    real = fill("b", BUY, "7", "9.01", 2, fill_id=FillId("b-r"), sequence=8)
    books.take(Fills(removed=(books.told["b-3"],), added=(real,)))
    assert (books.asked, books.changed, books.ledger.lots[0].value) == ((), (), Decimal("63.07"))
    books.take(Fills(removed=(books.told["b-r"],)))
    assert (books.ledger.lots, books.ledger.newest) == ((), when_key("x", 1))


def when_key(order_id: str, number: int) -> tuple[object, ...]:
    return (when(number), order_id, number, 0)


def test_nothing_changed_is_nothing_restated() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("x", SELL, "10", "15", 1))
    again = fill("x", SELL, "10", "15", 1)
    books.take(Fills(removed=(books.told["x-1"],), added=(again,)))
    assert (books.asked, books.changed) == ((None,), ())
    books.take(Fills())
    assert (books.asked, books.changed) == ((), ())


def test_fees_that_come_late_are_shared_among_the_fills_of_their_order() -> None:
    books = folded(
        fill("a", BUY, "10", "10", 0),
        fill("x", SELL, "3", "15", 1),
        fill("b", BUY, "10", "11", 2),
        fill("x", SELL, "9", "15", 3),
    )
    before = dict(books.slices)
    books.take(Charged(order_id=OrderId("x"), fees=Decimal("1.20")))
    assert {each.slice_id: (each.version, each.fees) for each in books.changed} == {
        of("a", "x"): (3, Decimal("1.00")),
        of("b", "x"): (2, Decimal("0.20")),
    }
    books.take(Charged(order_id=OrderId("x"), fees=Decimal(0)))
    assert all(books.slices[each.slice_id].pnl == each.pnl for each in before.values())


def test_a_fill_of_an_order_that_was_charged_shares_its_fees_anew() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("x", SELL, "5", "15", 1))
    books.take(Charged(order_id=OrderId("x"), fees=Decimal(1)))
    books.take(Fills(added=(fill("x", SELL, "5", "15", 2),)))
    assert [(each.fees, each.pnl) for each in books.live] == [(1, 49)]


@pytest.mark.parametrize(("new", "old", "quantity"), [("4", "1", "40"), ("1", "3", "3.333333333333333333")])
def test_a_split_changes_the_shares_and_not_what_they_cost(new: str, old: str, quantity: str) -> None:
    books = folded(fill("a", BUY, "10", "90", 0))
    books.take(Split(at=when(1), sequence=1, new=Decimal(new), old=Decimal(old)))
    assert (books.changed, books.ledger.quantity) == ((), Decimal(quantity))
    books.take(Fills(added=(fill("x", SELL, "1", "50", 2),)))
    books.take(Fills(added=(fill("y", SELL, str(Decimal(quantity) - 1), "50", 3),)))
    assert sum((each.cost for each in books.live), Decimal(0)) == 900


def test_a_split_that_is_told_late_restates_what_was_closed_after_it() -> None:
    books = folded(fill("a", BUY, "10", "90", 0), fill("x", SELL, "10", "50", 2))
    assert books.live[0].pnl == -400
    books.take(Split(at=when(1), sequence=3, new=Decimal(2), old=Decimal(1)))
    assert (books.live[0].version, books.live[0].entry_price, books.live[0].pnl) == (2, 45, 50)
    assert books.ledger.quantity == 10
    books.take(Fills(added=(fill("y", SELL, "10", "55", 4),)))
    assert books.live[1].pnl == 100


def test_an_entry_between_two_others_is_told_late() -> None:
    books = folded(fill("a", BUY, "10", "10", 0), fill("c", BUY, "10", "12", 2))
    books.take(Fills(added=(fill("b", BUY, "10", "11", 1),)))
    assert (books.asked, [lot.fill.ticket.order_id for lot in books.ledger.lots]) == ((), ["a", "b", "c"])
    assert books.ledger == folded(*(lot.fill for lot in books.ledger.lots)).ledger


def test_what_is_told_late_is_folded_anew_from_when_nothing_was_held() -> None:
    books = Books()
    for n in range(0, 400, 2):
        books.take(Fills(added=(fill(f"a{n}", BUY, "10", "10", n),)))
        books.take(Fills(added=(fill(f"x{n}", SELL, "10", "11", n + 1),)))
    assert len(books.ledger.flats) <= MOST_FLATS
    books.take(Fills(removed=(books.told["x394-395"],)))
    assert books.asked[0] == (when(393), "x392", 393, 0)
    assert {each.slice_id for each in books.changed} == {
        of("a394", "x394"), of("a394", "x396"), of("a396", "x396"), of("a396", "x398"), of("a398", "x398"),
    }  # fmt: skip
    assert books.asked[-1] is None


def test_a_slice_that_was_closed_before_and_after_a_place_needs_an_earlier_one() -> None:
    books = folded(
        fill("z", BUY, "1", "10", 0),
        fill("y", SELL, "1", "10", 1),
        fill("a", BUY, "5", "10", 2),
        fill("x", SELL, "5", "11", 3),
        fill("a", BUY, "5", "12", 4),
        fill("x", SELL, "2", "13", 5),
    )
    whole = books.slices[of("a", "x")]
    assert straddles([whole], (when(3), "x", 3, 0))
    books.take(Fills(removed=(books.told["x-5"],)))
    assert [(each.version, each.quantity, each.pnl) for each in books.changed] == [(3, 5, 5)]
    assert books.ledger.quantity == 5


# ----------------------------------------------------------------------------------------------------------- properties

QUANTITIES = st.integers(1, 50).map(lambda n: Decimal(n) / 10)
PRICES = st.integers(1, 5000).map(lambda n: Decimal(n) / 100)


@st.composite
def stories(draw: st.DrawFn) -> list[Booked]:
    """Fills of a few orders of both sides, some of which are meant to close, in the order of time."""
    orders = draw(st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.booleans()), min_size=1, max_size=6))
    chosen = draw(st.lists(st.integers(0, len(orders) - 1), max_size=20))
    told = []
    for number, choice in enumerate(chosen):
        side, is_exit = orders[choice]
        told.append(
            fill(
                f"o{choice}",
                side,
                str(draw(QUANTITIES)),
                str(draw(PRICES)),
                draw(st.integers(0, 1)) + number,
                fill_id=FillId(f"f{number}"),
                sequence=number,
                fee=Decimal(draw(st.integers(0, 9))) / 100,
                is_exit=is_exit,
            )
        )
    return told


@given(stories())
def test_slices_add_up_to_what_was_closed_and_to_the_cash_that_moved(told: list[Booked]) -> None:
    books = folded(*told)
    closed = sum((each.quantity for each in books.live), Decimal(0))
    opened = sum((lot.quantity for lot in books.ledger.lots), Decimal(0))
    unmatched = {each.fill_id for each in books.ledger.unmatched}
    traded = sum((each.quantity for each in told if each.fill_id not in unmatched), Decimal(0))
    if not unmatched:
        assert closed * 2 + opened == traded
        cash = sum(
            (each.quantity * (each.price or 0) * (1 if each.ticket.side is SELL else -1) - each.fee for each in told),
            Decimal(0),
        )
        held = sum(
            (lot.value or Decimal(0)) * (1 if lot.fill.ticket.side is SELL else -1) - lot.fees
            for lot in books.ledger.lots
        )
        assert sum((each.pnl or Decimal(0) for each in books.live), Decimal(0)) == cash - held
    assert len({lot.fill.ticket.side for lot in books.ledger.lots}) <= 1
    assert all(each.duration is not None and each.duration >= timedelta() for each in books.live)


@given(stories(), st.data())
def test_told_late_taken_back_or_charged_gives_what_a_fold_of_everything_anew_gives(
    told: list[Booked], data: st.DataObject
) -> None:
    heard = data.draw(st.permutations(told))
    taken_back = data.draw(st.lists(st.sampled_from(told), unique_by=lambda each: each.fill_id)) if told else []
    charges = {each.ticket.order_id: Decimal("0.37") for each in told[:2]} if data.draw(st.booleans()) else {}
    splits = (Split(at=when(4), sequence=99, new=Decimal(3), old=Decimal(2)),) if data.draw(st.booleans()) else ()
    changes: list[Change] = [Fills(added=(each,)) for each in heard]
    changes += [Fills(removed=(msgspec.structs.replace(each, sequence=1000),)) for each in taken_back]
    for late in (*(Charged(order_id=order_id, fees=fees) for order_id, fees in charges.items()), *splits):
        changes.insert(data.draw(st.integers(0, len(changes))), late)
    books = Books()
    for change in changes:
        before = dict(books.slices)
        books.take(change)
        assert all(books.slices[each.slice_id] != before.get(each.slice_id) for each in books.changed)
    left = [each for each in told if each not in taken_back]
    anew = Books()
    for split in splits:
        anew.take(split)
    for order_id, fees in charges.items():
        anew.take(Charged(order_id=order_id, fees=fees))
    anew.take(Fills(added=tuple(left)))
    assert _content(anew) == _content(books)
    assert anew.ledger.lots == books.ledger.lots
    assert anew.ledger.unmatched == books.ledger.unmatched


def _content(books: Books) -> dict[str, Slice]:
    return {each.slice_id: msgspec.structs.replace(each, version=0, is_restated=False) for each in books.live}
