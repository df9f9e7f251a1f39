"""A MULTILEG parent: its legs are filled, its totals are the broker's word."""

from orderd.core.events import EventType
from orderd.core.order import OrderState, Phase
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    Told,
    after,
    applied,
    executed,
    fill,
    intent,
    kinds,
    multileg,
    needs,
    report,
    steps,
    tell,
)

S = OrderState


def parent(phase: Phase, quantity: str, average: str | None, **changes: object) -> Told:
    return report(phase, filled_quantity=quantity, average_price=average, symbol="", side=None, **changes)


def test_the_parent_never_makes_a_fill() -> None:
    story = steps(multileg(), parent(Phase.WORKING, "1", "1.25"))
    assert [s.type for s in story][-1] is EventType.FILL
    order = story[-1].after
    assert (order.fills, order.filled_quantity, order.filled_value) == ((), 1, order.average_fill_price)
    assert (order.state, order.leaves_quantity) == (S.PARTIALLY_FILLED, 1)


def test_its_price_may_be_a_credit() -> None:
    order = after(parent(Phase.FILLED, "2", "-0.85"), start=multileg())
    assert (order.state, str(order.average_fill_price)) == (S.FILLED, "-0.850000000000000000")


def test_it_is_filled_by_its_quantity_and_canceled_by_its_word() -> None:
    assert after(parent(Phase.FILLED, "2", "1.2"), start=multileg()).state is S.FILLED
    order = after(parent(Phase.CANCELED, "1", "1.2"), start=multileg())
    assert (order.state, order.filled_quantity, order.leaves_quantity) == (S.CANCELED, 1, 0)


def test_an_execution_in_its_message_is_the_legs() -> None:
    order = after(ACCEPTED, fill("e-1", "1", "0.43"), start=multileg())
    assert (order.fills, order.filled_quantity) == ((), 1)


def test_without_a_price_it_waits() -> None:
    verdict = applied(tell(after(ACCEPTED, start=multileg()), parent(Phase.FILLED, "2", None)))
    assert (verdict.order.state, needs(verdict)) == (S.ACCEPTED, [("EXECUTIONS", "b-1")])
    still = tell(verdict.order, parent(Phase.FILLED, "2", None, may_infer=True))
    assert kinds(still) == ["PRICE_MISSING"]
    assert after(parent(Phase.FILLED, "2", "1.2"), start=verdict.order).state is S.FILLED


def test_its_blank_symbol_and_side_are_nobodys_mismatch() -> None:
    assert after(parent(Phase.WORKING, "0", None), start=multileg()).state is S.ACCEPTED


def test_it_ends_like_any_other() -> None:
    assert after(ACCEPTED, CANCELED, start=multileg()).state is S.CANCELED


def test_a_leg_is_an_order_of_its_own() -> None:
    leg = multileg(parent_order_id="o-0")
    assert not leg.is_parent_of_legs
    order = after(ACCEPTED, executed("e-1", "2", "0.43", cum="2"), start=leg)
    assert (order.state, order.filled_quantity) == (S.FILLED, 2)


def test_a_simple_order_has_no_legs() -> None:
    assert not after(ACCEPTED).is_parent_of_legs
    assert intent().legs == ()
