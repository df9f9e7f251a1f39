"""What an operator may settle, and what not."""

import pytest

from orderd.core.events import EventType
from orderd.core.facts import SettledByOperator, Verdicts
from orderd.core.order import EventSource, FillStatus, Order, OrderState, Phase
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
    report,
    seen,
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
        at=when(n),
        source=EventSource.OPERATOR,
        verdict=verdict,
        message="seen on the screen",
        evidence="ticket 7",
        operator_name="ann",
        state=state,
        **figures,
    )


def adopt(phase: Phase, **changes: object) -> Told:
    return lambda order, n: SettledByOperator(
        at=when(n),
        source=EventSource.OPERATOR,
        verdict=Verdicts.ADOPT,
        message="it is that one",
        view=seen(order, n, phase, **changes),
    )


def busted(execution_id: str) -> Told:
    return lambda order, n: SettledByOperator(
        at=when(n),
        source=EventSource.OPERATOR,
        verdict=Verdicts.BUSTED,
        message="on the statement",
        evidence="statement of the day",
        execution_id=execution_id,
    )


NOT_PLACED = settle(verdict=Verdicts.NOT_PLACED)
RESEND = settle(verdict=Verdicts.RESEND)


@pytest.mark.parametrize("start", [created(), after(), after(lost())])
def test_not_placed_is_an_end_with_the_operators_name(start: Order) -> None:
    order = after(NOT_PLACED, start=start)
    assert (order.state, order.closed_by) == (S.SUBMIT_FAILED, EventSource.OPERATOR)
    assert order.reason is not None
    assert (order.reason.code, order.reason.message) == ("NOT_PLACED", "seen on the screen")
    assert (order.reason.evidence, order.reason.operator_name) == ("ticket 7", "ann")


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
    story = steps(after(ACCEPTED), settle(S.FILLED, filled_quantity="10", average_price="20"))
    assert [s.type for s in story] == [EventType.FILL, EventType.RESOLVED], "the reason is told in any case"
    order = story[-1].after
    assert (order.state, order.filled_quantity, order.closed_by) == (S.FILLED, 10, EventSource.BROKER_REPLY)
    assert order.reason is not None
    assert order.reason.evidence == "ticket 7"


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


def test_an_end_below_what_is_booked_is_refused() -> None:
    verdict = tell(after(ACCEPTED, fill("e-1", "4")), settle(S.CANCELED, filled_quantity="2", average_price="20"))
    assert isinstance(verdict, Impossible)
    assert "below the 4 booked" in verdict.explanation


def test_an_operator_names_the_broker_order_that_it_is() -> None:
    story = steps(after(lost()), adopt(Phase.WORKING))
    assert [(s.type, s.event.source, s.after.state) for s in story] == [
        (EventType.RESOLVED, EventSource.OPERATOR, S.UNKNOWN),
        (EventType.ACKNOWLEDGED, EventSource.OPERATOR, S.SUBMITTED),
        (EventType.ACCEPTED, EventSource.OPERATOR, S.ACCEPTED),
    ]
    assert story[0].event.reason is not None
    assert story[0].event.reason.message == "it is that one"
    assert story[-1].after.broker_order_id == "b-1"


@pytest.mark.parametrize(
    "told",
    [
        adopt(Phase.WORKING, client_order_id="theirs"),
        adopt(Phase.WORKING, symbol="MSFT"),
        settle(verdict=Verdicts.ADOPT),
    ],
    ids=["of another client", "of another symbol", "nothing"],
)
def test_what_is_another_order_is_not_adopted(told: Told) -> None:
    assert isinstance(tell(after(lost()), told), Impossible)


def test_a_stranger_does_not_join_a_chain_by_an_operators_word() -> None:
    verdict = tell(after(ACCEPTED), adopt(Phase.WORKING, broker_order_id="b-9", client_order_id=""))
    assert isinstance(verdict, Impossible)


def test_adopting_what_is_bound_already_is_no_news() -> None:
    assert not isinstance(tell(after(ACCEPTED), adopt(Phase.WORKING, updated_ns=0)), Impossible)


def test_a_bust_that_nobody_heard_of() -> None:
    start = after(ACCEPTED, fill("e-1", "4"), fill("e-2", "6"))
    verdict = applied(tell(start, busted("e-2")))
    assert [s.type for s in verdict.steps] == [EventType.RESOLVED, EventType.FILL_BUSTED]
    order = verdict.order
    assert (order.filled_quantity, order.fills[1].status, order.is_undone) == (4, FillStatus.BUSTED, True)
    assert verdict.needs, "the order is read again before its state is believed"
    read = report(Phase.CANCELED, filled_quantity=dec("4"), average_price=dec("20"), asked_ns=10**18)
    ended = after(read, start=order)
    assert ended.state is S.CANCELED


@pytest.mark.parametrize("execution_id", ["e-99", "e-1"], ids=["unknown", "taken back already"])
def test_what_does_not_count_is_not_taken_back(execution_id: str) -> None:
    start = after(ACCEPTED, fill("e-1", "4"), bust("e-1"))
    assert isinstance(tell(start, busted(execution_id)), Impossible)
