"""What an operator may settle, and what not."""

import pytest

from orderd.core.events import EventType
from orderd.core.facts import SettledByOperator, Verdicts
from orderd.core.order import EventSource, FillStatus, Order, OrderState
from orderd.core.verdicts import Impossible
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    SENT,
    Told,
    after,
    applied,
    bust,
    by_notional,
    created,
    dec,
    executed,
    fill,
    steps,
    tell,
    when,
)
from tests.core.test_chains import BOUND
from tests.core.test_own_facts import lost

S = OrderState


def settle(state: OrderState | None = None, verdict: Verdicts = Verdicts.ENDED, **said: object) -> Told:
    figures = {name: dec(value) for name, value in said.items()}  # type: ignore[arg-type]
    return lambda order, n: SettledByOperator(
        at=when(n), source=EventSource.OPERATOR, verdict=verdict, message="seen on the screen", state=state, **figures
    )


NOT_PLACED = settle(verdict=Verdicts.NOT_PLACED)
RESEND = settle(verdict=Verdicts.RESEND)


@pytest.mark.parametrize("start", [created(), after(), after(lost())])
def test_not_placed_is_an_end_with_the_operators_name(start: Order) -> None:
    order = after(NOT_PLACED, start=start)
    assert (order.state, order.closed_by) == (S.SUBMIT_FAILED, EventSource.OPERATOR)
    assert order.reason is not None
    assert (order.reason.code, order.reason.message) == ("NOT_PLACED", "seen on the screen")


def test_resend_is_recorded_and_then_sent() -> None:
    story = steps(after(lost()), RESEND, SENT)
    assert [(s.type, s.after.state) for s in story] == [
        (EventType.RESOLVED, S.UNKNOWN),
        (EventType.SUBMITTED, S.SUBMITTED),
    ]


@pytest.mark.parametrize("told", [NOT_PLACED, RESEND])
def test_what_the_broker_has_is_neither_absent_nor_sent_again(told: Told) -> None:
    assert isinstance(tell(after(ACCEPTED), told), Impossible)


@pytest.mark.parametrize("told", [NOT_PLACED, RESEND, settle(S.CANCELED)])
def test_an_ended_order_is_settled(told: Told) -> None:
    assert isinstance(tell(after(ACCEPTED, CANCELED), told), Impossible)


@pytest.mark.parametrize("state", [S.CANCELED, S.EXPIRED, S.REJECTED])
def test_ended(state: OrderState) -> None:
    assert after(settle(state), start=after(ACCEPTED)).state is state


@pytest.mark.parametrize(
    ("start", "state"),
    [
        (after(ACCEPTED), None),
        (after(ACCEPTED), S.ACCEPTED),
        (after(ACCEPTED), S.FILLED),
        (after(ACCEPTED, start=by_notional()), S.FILLED),
        (created(), S.EXPIRED),
        (after(ACCEPTED, fill("e-1", "4")), S.REJECTED),
    ],
)
def test_ends_that_contradict_the_record(start: Order, state: OrderState | None) -> None:
    assert isinstance(tell(start, settle(state)), Impossible)


def test_filled_by_notional_is_for_an_operator_to_say_once_something_traded() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), settle(S.FILLED), start=by_notional())
    assert order.state is S.FILLED


def test_the_quantity_an_operator_read_is_inferred() -> None:
    verdict = applied(
        tell(after(ACCEPTED, fill("e-1", "4", "20")), settle(S.CANCELED, filled_quantity="6", average_price="21"))
    )
    order = verdict.order
    assert [s.type for s in verdict.steps] == [EventType.FILL, EventType.RESOLVED]
    assert (order.state, order.filled_quantity, order.fills[1].status) == (S.CANCELED, 6, FillStatus.INFERRED)
    assert order.average_fill_price == 21
    real = after(executed("e-2", "2", "23", cum="6"), start=order)
    assert (real.filled_quantity, [f.status for f in real.fills if f.is_counted]) == (6, [FillStatus.LIVE] * 2)


def test_the_quantity_may_fill_it() -> None:
    order = after(settle(S.FILLED, filled_quantity="10", average_price="20"), start=after(ACCEPTED))
    assert (order.state, order.filled_quantity) == (S.FILLED, 10)


def test_a_quantity_that_is_booked_already_adds_nothing() -> None:
    order = after(settle(S.CANCELED, filled_quantity="4", average_price="20"), start=after(ACCEPTED, fill("e-1", "4")))
    assert (order.state, len(order.fills)) == (S.CANCELED, 1)


@pytest.mark.parametrize(
    ("start", "average"),
    [(after(), "20"), (BOUND, "20"), (after(ACCEPTED), None), (after(ACCEPTED, fill("e-1", "2"), bust("e-1")), "20")],
    ids=["without a broker order", "a chain", "without a price", "after a bust"],
)
def test_quantities_that_cannot_be_inferred(start: Order, average: str | None) -> None:
    verdict = tell(start, settle(S.CANCELED, filled_quantity="6", average_price=average))
    assert isinstance(verdict, Impossible)
    assert "booking by an operator" in verdict.explanation


def test_filled_beyond_what_the_operator_says_is_not_settled_otherwise() -> None:
    verdict = tell(after(ACCEPTED), settle(S.CANCELED, filled_quantity="10", average_price="20"))
    assert isinstance(verdict, Impossible)
