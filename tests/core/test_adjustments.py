"""Since when a split and an option's end count, and what is the same in whatever order it is heard."""

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import permutations

import msgspec
import pytest

from orderd.core.activities import ActivityKind
from orderd.core.adjustments import Adjustment, Split, option_end, split_day
from orderd.core.lots import Change, Fills
from orderd.core.order import Side
from orderd.core.trade import ExitReason
from tests.core.builders import when
from tests.core.test_lots import Books, fill, of

BUY, SELL = Side.BUY, Side.SELL
EXPIRY = date(2026, 3, 20)
D = Decimal


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        ("2026-01-06", datetime(2026, 1, 6, 5, tzinfo=UTC)),
        ("2026-07-06", datetime(2026, 7, 6, 4, tzinfo=UTC)),
        ("", None),
        ("soon", None),
    ],
)
def test_a_split_counts_from_midnight_in_new_york(day: str, begins: datetime | None) -> None:
    assert split_day(day) == begins


@pytest.mark.parametrize(
    ("day", "booked", "end"),
    [
        ("2026-03-20", datetime(2026, 3, 21, 12, tzinfo=UTC), datetime(2026, 3, 20, 21, 30, tzinfo=UTC)),
        ("2026-03-23", datetime(2026, 3, 23, 12, tzinfo=UTC), datetime(2026, 3, 20, 21, 30, tzinfo=UTC)),
        ("", datetime(2026, 3, 23, 12, tzinfo=UTC), datetime(2026, 3, 20, 21, 30, tzinfo=UTC)),
        ("2026-03-17", datetime(2026, 3, 18, 12, tzinfo=UTC), datetime(2026, 3, 17, 21, 30, tzinfo=UTC)),
        ("2026-03-17", datetime(2026, 3, 17, 15, tzinfo=UTC), datetime(2026, 3, 17, 15, tzinfo=UTC)),
    ],
)
def test_an_option_ends_on_the_day_it_says(day: str, booked: datetime, end: datetime) -> None:
    assert option_end(day, EXPIRY, booked) == end


def test_a_split_is_named_by_its_activity() -> None:
    booked = Adjustment(
        adjustment_id="a", kind=ActivityKind.SPLIT, effective_time=when(3), new=D(3), old=D(1), version=2
    )
    assert booked.split == Split(at=when(3), new=D(3), old=D(1), split_id="a")


def split(number: int, new: int, old: int) -> Split:
    return Split(at=when(number), new=D(new), old=D(old), split_id=f"s-{number}")


def test_a_split_in_whatever_order_it_is_heard_and_however_often() -> None:
    changes: list[Change] = [
        Fills(added=(fill("a", BUY, "3", "90", 0),)),
        Fills(added=(fill("b", BUY, "2", "60", 1),)),
        split(2, 3, 1),
        split(2, 3, 1),
        Fills(added=(fill("x", SELL, "7", "35", 3, is_exit=True),)),
        Fills(added=(fill("y", SELL, "8", "25", 4, is_exit=True),)),
    ]
    wanted = {
        of("a", "x"): (D(7), D(210), D(245)),
        of("a", "y"): (D(2), D(60), D(50)),
        of("b", "y"): (D(6), D(120), D(150)),
    }
    for heard in permutations(changes):
        books = Books()
        for change in heard:
            books.take(change)
        assert {each.slice_id: (each.quantity, each.entry_value, each.exit_value) for each in books.live} == wanted
        assert not books.ledger.lots
        assert len(books.ledger.splits) == 1


def test_a_bust_after_a_split_in_whatever_order_it_is_heard() -> None:
    first, second = fill("a", BUY, "3", "90", 0), fill("b", BUY, "3", "60", 1)
    sold = fill("x", SELL, "6", "40", 3, is_exit=True)
    bust = Fills(removed=(msgspec.structs.replace(first, sequence=1000),))
    for heard in permutations([Fills(added=(second,)), split(2, 2, 1), Fills(added=(sold,)), bust]):
        books = Books().take(Fills(added=(first,)))
        for change in heard:
            books.take(change)
        (left,) = books.live
        assert (left.slice_id, left.quantity, left.pnl) == (of("b", "x"), 6, 60)


@pytest.mark.parametrize("old", [3, 7, 9])
def test_the_shares_of_a_split_that_does_not_come_out_even_add_up(old: int) -> None:
    books = Books()
    for number in range(old):
        books.take(Fills(added=(fill(f"a{number}", BUY, "1", "10", number),)))
    books.take(split(old, 1, old))
    assert books.ledger.quantity == 1
    books.take(Fills(added=(fill("x", SELL, "1", "100", old + 1),)))
    assert not books.ledger.lots
    assert sum(each.pnl or 0 for each in books.live) == 100 - 10 * old


def test_an_option_that_ends_closes_what_there_is_and_opens_nothing() -> None:
    end = fill("end", SELL, "2", "0", 5, is_exit=True, reason=ExitReason.EXPIRY, multiplier=D(100))
    late = fill("late", BUY, "1", "4", 4, multiplier=D(100))
    for heard in permutations(
        [Fills(added=(fill("in", BUY, "1", "3", 0, multiplier=D(100)),)), Fills(added=(end,)), Fills(added=(late,))]
    ):
        books = Books()
        for change in heard:
            books.take(change)
        assert {each.slice_id: each.pnl for each in books.live} == {of("in", "end"): -300, of("late", "end"): -400}
        assert books.ledger.quantity == 0
