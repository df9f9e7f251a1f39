"""A spread that was replaced: whether its successor counts anew is told by what its legs have traded."""

from decimal import Decimal

import msgspec
import pytest

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.order import Order, OrderState, Phase
from orderd.core.reconcile import differences, plan
from orderd.core.spreads import strategies
from tests.core.builders import (
    ACCEPTED,
    after,
    dec,
    executed,
    kinds,
    multileg,
    replace,
    report,
    seen,
    successor,
    tell,
    when,
)

S = OrderState
ELDER = {"broker_order_id": "b-1", "client_order_id": "key-1", "symbol": "", "side": None}
PARENT = {"symbol": "", "side": None}


def replaced(traded: str = "1", average: str | None = "1.25") -> Order:
    """A spread of two that became one of four, after this much of it had traded."""
    part = report(Phase.WORKING, "partially_filled", filled_quantity=traded, average_price=average, **PARENT)
    ends = report(Phase.REPLACED, "replaced", filled_quantity=traded, average_price=average, **ELDER)
    facts = (ACCEPTED, part, replace(quantity=dec("4")), ends, successor(Phase.WORKING, "new", **PARENT))
    return after(*facts, start=multileg())


def says(quantity: str, average: str | None, legs: str | None, phase: Phase = Phase.WORKING) -> object:
    """What is heard of the successor, when the legs have traded so many strategies."""
    traded = None if legs is None else dec(legs)
    told = {"filled_quantity": quantity, "average_price": average, "legs_traded": traded}
    return successor(phase, phase.lower(), is_asked=False, asked_ns=None, n=20, **PARENT, **told)


def figures(order: Order) -> tuple[Decimal, Decimal]:
    return order.filled_quantity, order.filled_value


def test_a_successor_that_counts_anew_adds_to_its_elder() -> None:
    order = after(says("3", "1.05", "4", Phase.FILLED), start=replaced())
    assert figures(order) == (4, dec("1.25") + 3 * dec("1.05"))
    assert order.state is S.FILLED


def test_a_successor_that_carries_its_elders_total_is_not_added_to_it() -> None:
    order = after(says("3", "1.05", "3"), start=replaced())
    assert figures(order) == (3, 3 * dec("1.05"))
    assert order.state is S.PARTIALLY_FILLED


@pytest.mark.parametrize("legs", ["1", "3", None])
def test_until_the_legs_have_traded_as_much_the_figure_alone_is_believed_and_nothing_is_concluded(
    legs: str | None,
) -> None:
    start = replaced()
    waiting = after(says("3", "1.05", legs, Phase.FILLED), start=start)
    assert (waiting.filled_quantity, waiting.state) == (3, S.PARTIALLY_FILLED)
    assert not kinds(tell(start, says("3", "1.05", legs, Phase.FILLED)))
    assert after(says("3", "1.05", "4", Phase.FILLED), start=waiting).state is S.FILLED


def test_what_the_elder_had_traded_may_be_told_last() -> None:
    order = after(says("3", "1.05", "4", Phase.FILLED), start=replaced("0", None))
    assert (order.filled_quantity, order.state) == (3, S.PARTIALLY_FILLED)
    last = report(Phase.REPLACED, "replaced", filled_quantity="1", average_price="1.25", legs_traded=dec("4"), **ELDER)
    assert figures(after(last, start=order)) == (4, dec("1.25") + 3 * dec("1.05"))


def test_a_missing_price_of_either_is_waited_for() -> None:
    order = after(says("3", None, "4", Phase.FILLED), start=replaced())
    assert figures(order) == (1, dec("1.25"))
    assert after(says("3", "1.05", "4", Phase.FILLED), start=order).state is S.FILLED


def test_a_spread_that_ended_gets_what_its_legs_traded_before() -> None:
    order = after(says("2", "1.05", "1", Phase.CANCELED), start=replaced())
    assert (order.state, order.filled_quantity) == (S.CANCELED, 2)
    order = after(says("2", "1.05", "3", Phase.CANCELED), start=order)
    assert (order.state, order.filled_quantity) == (S.CANCELED, 3)


def legs_of(*filled: str) -> list[Order]:
    legs = [multileg(parent_order_id="o-1", leg_number=number) for number in range(1, len(filled) + 1)]
    return [
        after(ACCEPTED, executed(f"e-{n}", quantity, "1", cum=quantity), start=leg)
        for n, (leg, quantity) in enumerate(zip(legs, filled, strict=True))
    ]


def test_the_legs_make_as_many_strategies_as_the_slowest_of_them_by_its_ratio() -> None:
    parent = multileg()
    assert strategies(parent, legs_of("2", "1")) == 1
    ratios = (parent.intent.legs[0], msgspec.structs.replace(parent.intent.legs[1], ratio=dec("2")))
    wide = msgspec.structs.replace(parent, intent=msgspec.structs.replace(parent.intent, legs=ratios))
    assert strategies(wide, legs_of("2", "3")) == 1
    assert strategies(parent, legs_of("2")) is None
    assert strategies(after(ACCEPTED), []) is None


def test_its_own_share_is_no_difference_and_any_other_figure_is() -> None:
    order = after(says("2", "1.05", "3"), start=replaced())
    view = {"broker_order_id": "b-2", "average_price": "1.05", "asked_ns": 10**9, **PARENT}
    assert not list(differences(order, seen(order, 200, Phase.WORKING, "new", filled_quantity="2", **view)))
    found = differences(order, seen(order, 200, Phase.WORKING, "new", filled_quantity="4", **view))
    assert [each.kind for each in found] == [DiscrepancyKind.QUANTITY_DIFFERS]


def test_the_lists_tell_it_too() -> None:
    waiting = after(says("3", "1.05", "1"), start=replaced())
    view = seen(waiting, 30, Phase.FILLED, "filled", broker_order_id="b-2", filled_quantity="3", average_price="1.05")
    legs = [msgspec.structs.replace(leg, parent_order_id=waiting.order_id) for leg in legs_of("4", "4")]
    legs = [msgspec.structs.replace(leg, order_id=f"leg-{leg.leg_number}") for leg in legs]
    planned = plan(orders=[waiting, *legs], seen_open=[], seen_since=[view], executions=[], asked_ns=10**9, at=when(40))
    told = [fact.legs_traded for order_id, fact in planned.facts if order_id == waiting.order_id]
    assert told == [4]
