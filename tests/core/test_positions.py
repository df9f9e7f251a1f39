"""Positions by fills: exact sums, first in first out, from flat to flat."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.core.order import AssetClass
from orderd.core.positions import (
    FEE,
    OPENING,
    TAPE,
    Change,
    Divided,
    Happened,
    Holding,
    Position,
    Traded,
    apply,
    awaits_fee,
    changed,
    divided,
    exchange,
    fold,
    parts,
    reaches,
    restated,
    undone,
)
from orderd.core.values import AccountId, add

D = Decimal
AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def traded(quantity: str, price: str | None = "10", strategy: str = "", name: str = "f") -> Traded:
    return Traded(
        change_id=f"{name}{quantity}@{price}",
        quantity=D(quantity),
        price=None if price is None else D(price),
        strategy=strategy,
    )


def happened(quantity: str, price: str | None = "0", name: str = "h") -> Happened:
    return Happened(change_id=f"{name}{quantity}", quantity=D(quantity), price=None if price is None else D(price))


def held(*changes: Change) -> Holding:
    holding = Holding()
    for change in changes:
        holding = apply(holding, change)
    return holding


def shares(holding: Holding) -> dict[str, tuple[Decimal, Decimal | None, Decimal | None]]:
    return {share.strategy: (share.quantity, share.average_price, share.realized) for share in holding.shares}


def test_the_oldest_lots_are_closed_first() -> None:
    holding = held(traded("100", "10"), traded("100", "12"), traded("-150", "13"))
    assert shares(holding) == {"": (D(50), D(12), D(350))}
    assert (holding.quantity, holding.average_price, holding.is_flat) == (D(50), D(12), False)


def test_a_short_position_earns_when_it_is_bought_back_lower() -> None:
    holding = held(traded("-100", "10"), traded("40", "9"))
    assert shares(holding) == {"": (D(-60), D(10), D(40))}


def test_strategies_do_not_touch_each_others_lots() -> None:
    holding = held(traded("100", "10", "a"), traded("-40", "12", "b"))
    assert shares(holding) == {"a": (D(100), D(10), D(0)), "b": (D(-40), D(12), D(0))}
    assert holding.quantity == D(60)
    assert holding.average_price is None, "they stand against each other"
    flat = held(traded("40", "10", "a"), traded("-40", "12", "b"))
    assert (flat.quantity, flat.is_flat) == (D(0), False)


def test_what_happens_to_the_account_takes_the_oldest_lots_whoevers_they_are() -> None:
    holding = held(traded("2", "3", "a"), traded("3", "4", "b"), happened("-4"))
    assert shares(holding) == {"a": (D(0), None, D(-6)), "b": (D(1), D(4), D(-8))}
    more = apply(holding, happened("-3", None))
    assert shares(more)[""] == (D(-2), None, D(0)), "what finds no lot is nobody's"
    assert shares(more)["b"] == (D(0), None, None), "closed at a price that nobody told"


def test_an_unknown_price_makes_no_average_and_no_result() -> None:
    holding = held(happened("10", None), traded("5", "10"))
    assert holding.average_price is None
    assert shares(apply(holding, traded("-12", "11"))) == {"": (D(3), D(10), None)}
    assert shares(apply(holding, traded("-4", "11")))[""][2] is None, "part of a lot of unknown price"


def test_a_split_changes_quantities_and_not_what_was_paid() -> None:
    split = Divided(change_id="s", new=D(1), old=D(3))
    holding = held(traded("10", "9", "a"), traded("20", "12", "b"), split)
    assert holding.quantity == D(10)
    assert [share.quantity for share in holding.shares] == [D("3.333333333333333333"), D("6.666666666666666667")]
    closed = apply(
        apply(holding, traded("-3.333333333333333333", "27", "a")), traded("-6.666666666666666667", "36", "b")
    )
    assert closed.is_flat
    assert [share.realized for share in closed.shares] == [D("-0.000000000000000009"), D("0.000000000000000012")]
    part = apply(holding, traded("-1", "27", "a"))
    assert part.shares[0].quantity == D("2.333333333333333333")
    gone = apply(held(traded("1", "9")), Divided(change_id="s", new=D(1), old=D(10) ** 19))
    assert gone.is_flat, "less than a unit of the eighteenth place"
    assert apply(held(happened("3", None)), split).quantity == D(1)


def test_a_split_lot_of_unknown_price_is_closed_in_parts() -> None:
    holding = held(happened("3", None), Divided(change_id="s", new=D(2), old=D(1)), traded("-2", "5"))
    assert shares(holding) == {"": (D(4), None, None)}


@pytest.mark.parametrize(
    ("before", "change", "closing", "rest"),
    [
        ([], traded("5"), "5", None),
        ([traded("10")], traded("5"), "5", None),
        ([traded("10")], traded("-10"), "-10", None),
        ([traded("10")], traded("-15"), "-10", "-5"),
        ([traded("-10")], traded("15"), "10", "5"),
        ([traded("10")], happened("-15"), "-10", "-5"),
        ([traded("10"), traded("5", strategy="a")], traded("-15"), "-15", None),
        ([traded("10"), traded("5", strategy="a")], happened("-20"), "-15", "-5"),
        ([traded("10"), traded("-5", strategy="a")], happened("-20"), "-20", None),
        ([traded("10")], traded("-15", strategy="a"), "-15", None),
    ],
)
def test_a_change_through_zero_is_two(before: Sequence[Change], change: Traded, closing: str, rest: str | None) -> None:
    first, second = parts(held(*before), change)
    assert isinstance(first, Traded | Happened)
    assert first.quantity == D(closing)
    assert (second is None) if rest is None else (isinstance(second, Traded | Happened) and second.quantity == D(rest))


def test_a_split_is_never_two() -> None:
    split = Divided(change_id="s", new=D(2), old=D(1))
    assert parts(held(traded("1")), split) == (split, None)


def test_what_is_taken_back_had_never_been() -> None:
    first, second, sold = traded("100", "10"), traded("100", "11"), traded("-100", "12")
    holding = held(first, second, sold)
    assert shares(exchange(holding, [sold])) == {"": (D(200), D("10.5"), D(0))}
    assert shares(exchange(holding, [first])) == {"": (D(0), None, D(100))}
    assert not reaches(exchange(holding, [first]), [first])


def test_beyond_the_tape_the_opposite_trade_comes_to_the_same_money() -> None:
    first = traded("1", "10", name="first")
    holding = held(first, *(traded("1", "20", name=f"n{n}-") for n in range(TAPE)))
    assert not reaches(holding, [first])
    undo = undone(first)
    assert (undo.quantity, undo.price, undo.change_id) == (D(-1), D(10), f"undo:{first.change_id}")
    assert apply(holding, undo).quantity == D(TAPE)


def position(asset_class: AssetClass = AssetClass.CRYPTO) -> Position:
    return Position(
        position_id="p",
        account_id=AccountId("paper"),
        symbol="BTC/USD",
        asset_class=asset_class,
        opened_time=AT,
        updated_time=AT,
    )


def test_a_position_counts_what_was_bought_charged_and_there_before() -> None:
    now = AT + timedelta(seconds=1)
    held_ = changed(position(), traded("1", "100"), now)
    assert (held_.bought, held_.charged, held_.updated_time, held_.is_open) == (D(1), D(0), now, True)
    charged = changed(held_, happened("-0.0025", name=FEE), now)
    assert (charged.charged, charged.holding.quantity) == (D("0.0025"), D("0.9975"))
    opened = changed(charged, happened("3", "90", name=OPENING), now)
    assert (opened.opening_quantity, opened.bought) == (D(3), D(1))
    assert changed(opened, happened("-1"), now).opening_quantity == D(3)
    assert restated(opened, [traded("1", "100")], [], now).bought == D(0)
    corrected = restated(held_, [traded("1", "100")], [traded("2", "99")], now)
    assert (corrected.bought, corrected.holding.quantity, corrected.holding.average_price) == (D(2), D(2), D(99))
    sold = changed(held_, traded("-1", "110"), now)
    assert (sold.bought, sold.closed_time, sold.is_open) == (D(1), now, False)
    again = restated(sold, [traded("-1", "110")], [], now)
    assert (again.bought, again.is_open) == (D(1), True)


def test_a_fee_in_kind_is_awaited_for_coins_and_no_more_than_was_bought_allows() -> None:
    bought = changed(position(), traded("1", "100"), AT)
    assert awaits_fee(bought, D("-0.0025"))
    assert not awaits_fee(bought, D("-0.0026"))
    assert not awaits_fee(bought, D("0.0001"))
    assert not awaits_fee(changed(bought, happened("-0.0025", name=FEE), AT), D("-0.0001"))
    assert not awaits_fee(changed(position(AssetClass.US_EQUITY), traded("1", "100"), AT), D("-0.0025"))


# ---------------------------------------------------------------------------------------------------------- properties

quantities = st.integers(-50, 50).filter(bool).map(Decimal)
prices = st.integers(1, 99).map(Decimal)
names = st.sampled_from(["", "a", "b"])


@st.composite
def histories(draw: st.DrawFn) -> list[Traded | Happened]:
    count = draw(st.integers(1, 60))
    return [
        Traded(change_id=f"f{n}", quantity=draw(quantities), price=draw(prices), strategy=draw(names))
        if draw(st.integers(0, 4))
        else Happened(change_id=f"f{n}", quantity=draw(quantities), price=draw(prices))
        for n in range(count)
    ]


def total(changes: Sequence[Traded | Happened]) -> Decimal:
    held_ = D(0)
    for change in changes:
        held_ = add(held_, change.quantity)
    return held_


def money(holding: Holding) -> Decimal:
    """What was earned, and what is tied up: together they are the cash that moved."""
    worth = D(0)
    for share in holding.shares:
        assert share.realized is not None
        worth += share.realized
        for lot in share.lots:
            assert lot.value is not None
            worth -= lot.value
    return worth


@given(histories())
def test_shares_add_up_and_no_money_is_lost(changes: list[Traded | Happened]) -> None:
    holding = held(*changes)
    assert holding.quantity == total(changes)
    assert money(holding) == -sum((c.quantity * (c.price or D(0)) for c in changes), D(0))
    assert holding.shares == fold((), changes)
    for share in holding.shares:
        signs = {lot.quantity > 0 for lot in share.lots}
        assert len(signs) <= 1
        assert all(lot.quantity for lot in share.lots)


@given(histories(), st.data())
def test_what_is_told_otherwise_is_as_if_it_had_been_so(changes: list[Traded | Happened], data: st.DataObject) -> None:
    fills = [change for change in changes[-TAPE:] if isinstance(change, Traded)]
    if not fills:
        return
    gone = data.draw(st.lists(st.sampled_from(fills), min_size=1, unique_by=lambda change: change.change_id))
    instead = data.draw(st.sampled_from([[], [traded("7", "33", "b", name="new")]]))
    holding = held(*changes)
    assert reaches(holding, gone)
    wanted: list[Change] = []
    for change in changes:
        if change is gone[0]:
            wanted += instead
        elif change not in gone:
            wanted.append(change)
    assert exchange(holding, gone, instead).shares == fold((), wanted)


def test_what_was_half_of_a_change_is_not_taken_back_from_one_position() -> None:
    crossing = traded("-15", "12")
    _, rest = parts(held(traded("10")), crossing)
    assert isinstance(rest, Traded)
    assert not reaches(held(rest), [crossing])


@given(histories())
def test_a_position_never_crosses_zero(changes: list[Traded | Happened]) -> None:
    holding = Holding()
    rows = [D(0)]
    for change in changes:
        first, rest = parts(holding, change)
        holding = apply(holding, first)
        if rest is not None:
            assert holding.is_flat
            rows.append(D(0))
            holding = apply(Holding(), rest)
        elif holding.is_flat:
            holding = Holding()
    assert holding.quantity == total(changes)


def test_a_split_is_put_before_what_was_executed_after_it() -> None:
    first, sold, again = traded("10", "80"), traded("-5", "27"), traded("3", "27", "carry")
    split = Divided(change_id="s", new=D(3), old=D(1))
    known = msgspec.structs.replace(position(), holding=held(first, sold, again))
    after_it = divided(known, split, [sold.change_id, again.change_id], AT)
    assert after_it is not None
    assert after_it.holding.quantity == D(28)
    assert after_it.holding.shares == held(first, split, sold, again).shares
    at_the_end = divided(known, split, [], AT)
    assert at_the_end is not None
    assert at_the_end.holding.quantity == D(24)
    assert divided(known, split, ["of another position"], AT) is None
