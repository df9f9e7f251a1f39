"""What we know without the broker's word: sending, losing, giving up, canceling, refusing."""

import pytest

from orderd.core.events import EventType
from orderd.core.facts import (
    CancelDeclined,
    DeniedByRisk,
    GaveUp,
    NotSent,
    OutcomeLost,
    Refused,
    ReplaceDeclined,
)
from orderd.core.lifecycle import create
from orderd.core.order import EventSource, Order, OrderState, Phase
from orderd.core.verdicts import Apply, Duplicate, Impossible, Stale
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    EXPIRED,
    QUEUED,
    SENT,
    Told,
    after,
    by_notional,
    cancel,
    created,
    dec,
    fill,
    replace,
    report,
    steps,
    tell,
    when,
)

ENGINE = EventSource.ENGINE
S = OrderState


def not_sent(code: str = "CONNECTION_REFUSED") -> Told:
    return lambda order, n: NotSent(at=when(n), source=ENGINE, code=code, message="nobody answered")


def lost(code: str = "TIMEOUT") -> Told:
    return lambda order, n: OutcomeLost(at=when(n), source=ENGINE, code=code)


def gave_up(code: str = "STALE", *, attempts: int | None = None) -> Told:
    return lambda order, n: GaveUp(at=when(n), source=ENGINE, code=code, attempts=attempts)


def refused(code: str = "40310000") -> Told:
    return lambda order, n: Refused(at=when(n), source=EventSource.BROKER_REPLY, code=code, message="insufficient")


def denied(code: str = "MAX_ORDER_NOTIONAL") -> Told:
    return lambda order, n: DeniedByRisk(at=when(n), source=EventSource.RISK, code=code)


def cancel_declined(code: str = "42210000") -> Told:
    return lambda order, n: CancelDeclined(at=when(n), source=EventSource.BROKER_STREAM, code=code)


def replace_declined(request_id: str = "") -> Told:
    return lambda order, n: ReplaceDeclined(
        at=when(n), source=EventSource.BROKER_STREAM, code="late", request_id=request_id
    )


def test_an_order_begins_created_at_version_one() -> None:
    order = created()
    assert (order.state, order.version, order.filled_quantity, order.leaves_quantity) == (S.CREATED, 1, 0, 10)
    assert create(order, source=EventSource.CLIENT).before is None


def test_sending_is_recorded_before_the_first_byte_leaves() -> None:
    order = after(SENT, start=created())
    assert (order.state, order.attempts, order.submitted_time) == (S.SUBMITTED, 1, when(10))


def test_sending_again_keeps_the_first_submitted_time() -> None:
    order = after(SENT, lost(), SENT, start=created())
    assert (order.state, order.attempts, order.submitted_time, order.reason) == (S.SUBMITTED, 2, when(10), None)


def test_a_proof_of_absence_is_good_for_the_sends_before_it() -> None:
    order = after(SENT, lost(), SENT, start=created())
    assert isinstance(tell(order, gave_up(attempts=1)), Stale)
    assert after(gave_up(attempts=2), start=order).state is S.SUBMIT_FAILED


@pytest.mark.parametrize("order", [after(ACCEPTED), after(ACCEPTED, CANCELED), after(denied(), start=created())])
def test_what_has_a_broker_id_or_an_end_is_never_sent(order: Order) -> None:
    verdict = tell(order, SENT)
    assert isinstance(verdict, Impossible)
    assert f"sending on an order that is {order.state}" in verdict.explanation


def test_an_impossible_move_says_what_would_have_been_allowed() -> None:
    verdict = tell(after(ACCEPTED), denied())
    assert isinstance(verdict, Impossible)
    assert verdict.explanation.startswith("denial on an order that is ACCEPTED; from there: ")
    assert "fill_rest" in verdict.explanation
    nothing = tell(after(denied(), start=created()), SENT)
    assert isinstance(nothing, Impossible)
    assert nothing.explanation.endswith("from there: nothing")


def test_a_cancel_before_sending_ends_it_unsent() -> None:
    order = after(cancel("changed my mind"), start=created())
    assert (order.state, order.attempts, order.pending_cancel) == (S.CANCELED, 0, False)
    assert order.reason is not None
    assert (order.reason.code, order.reason.message) == ("NOT_SENT", "changed my mind")
    assert order.closed_by is ENGINE


def test_a_cancel_asked_meanwhile_keeps_it_from_being_sent() -> None:
    order = after(cancel(), SENT, start=after(SENT, lost(), start=created()))
    assert (order.state, order.attempts) == (S.CANCELED, 1)


def test_not_sent_stays_submitted_with_the_reason() -> None:
    order = after(not_sent())
    assert order.state is S.SUBMITTED
    assert order.reason is not None
    assert (order.reason.code, order.reason.message) == ("NOT_SENT", "CONNECTION_REFUSED: nobody answered")


def test_not_sent_with_a_cancel_waiting_is_canceled() -> None:
    assert after(cancel(), not_sent()).state is S.CANCELED


def test_not_sent_says_nothing_about_an_earlier_unknown_attempt() -> None:
    order = after(lost(), cancel(), not_sent())
    assert (order.state, order.pending_cancel) == (S.UNKNOWN, True)


def test_a_lost_outcome_is_unknown_once() -> None:
    order = after(lost())
    assert order.state is S.UNKNOWN
    assert isinstance(tell(order, lost()), Duplicate)


@pytest.mark.parametrize("told", [not_sent(), lost(), gave_up(), refused()])
@pytest.mark.parametrize("order", [after(ACCEPTED), after(gave_up())])
def test_a_late_answer_of_ours_is_stale_once_the_broker_has_spoken(order: Order, told: Told) -> None:
    assert isinstance(tell(order, told), Stale)


def test_giving_up_is_an_end_of_ours() -> None:
    order = after(lost(), gave_up("NOT_PLACED"))
    assert (order.state, order.closed_by, order.leaves_quantity) == (S.SUBMIT_FAILED, ENGINE, 0)
    assert after(cancel(), gave_up()).state is S.CANCELED


def test_a_refusal_is_a_rejection_with_the_brokers_words() -> None:
    order = after(refused())
    assert order.state is S.REJECTED
    assert order.reason is not None
    assert (order.reason.code, order.reason.message) == ("40310000", "insufficient")
    assert order.closed_by is EventSource.BROKER_REPLY


def test_nothing_is_refused_that_was_not_sent() -> None:
    assert isinstance(tell(created(), refused()), Stale)


def test_a_denial_names_the_limit() -> None:
    order = after(denied(), start=created())
    assert order.state is S.DENIED
    assert order.reason is not None
    assert order.reason.code == "MAX_ORDER_NOTIONAL"


def test_a_cancel_of_a_working_order_waits_for_proof() -> None:
    order = after(ACCEPTED, cancel())
    assert (order.state, order.pending_cancel, order.cancel_asked_by) == (S.ACCEPTED, True, EventSource.CLIENT)
    ended = after(CANCELED, start=order)
    assert (ended.state, ended.pending_cancel, ended.cancel_asked_by) == (S.CANCELED, False, EventSource.CLIENT)


@pytest.mark.parametrize("order", [after(ACCEPTED, cancel()), after(ACCEPTED, CANCELED)])
def test_a_repeated_cancel_changes_nothing(order: Order) -> None:
    assert isinstance(tell(order, cancel()), Duplicate)


@pytest.mark.parametrize("ended", [fill("e-1", "10"), EXPIRED])
def test_another_end_cannot_be_canceled(ended: Told) -> None:
    assert isinstance(tell(after(ACCEPTED, ended), cancel()), Impossible)


def test_our_cancel_beside_one_at_the_broker_is_ours_from_then_on() -> None:
    order = after(ACCEPTED, report(Phase.PENDING_CANCEL), cancel())
    assert (order.pending_cancel, order.cancel_asked_by) == (True, EventSource.CLIENT)
    assert after(ACCEPTED, start=order).pending_cancel


def test_a_declined_cancel_lifts_the_flag() -> None:
    order = after(ACCEPTED, cancel(), cancel_declined())
    assert (order.state, order.pending_cancel, order.cancel_asked_by) == (S.ACCEPTED, False, None)
    assert isinstance(tell(order, cancel_declined()), Stale)


def test_a_refusal_of_an_earlier_cancel_does_not_lift_a_later_one() -> None:
    order = after(ACCEPTED, cancel(), report(Phase.PENDING_CANCEL))
    assert isinstance(tell(order, cancel_declined()), Stale)


def test_a_replace_waits_with_its_terms_until_proof() -> None:
    order = after(ACCEPTED, replace(limit_price=dec("21")))
    assert order.terms.limit_price == dec("20.00")
    assert order.pending_replace is not None
    assert order.pending_replace.terms.limit_price == dec("21")
    assert (order.pending_replace.number, order.pending_replace.client_order_id) == (1, "key-r-1")


def test_a_repeated_replace_is_answered_and_not_asked_again() -> None:
    order = after(ACCEPTED, replace(limit_price=dec("21")))
    assert isinstance(tell(order, replace(limit_price=dec("21"))), Duplicate)
    assert isinstance(tell(order, replace(limit_price=dec("22"))), Impossible)
    settled = after(replace_declined(), start=order)
    assert isinstance(tell(settled, replace(limit_price=dec("21"))), Duplicate)


def test_a_replace_that_changes_nothing_is_no_replace() -> None:
    assert isinstance(tell(after(ACCEPTED), replace()), Duplicate)


@pytest.mark.parametrize(
    "order",
    [
        after(),
        after(ACCEPTED, cancel()),
        after(ACCEPTED, CANCELED),
        after(ACCEPTED, replace("r-0", limit_price=dec("21"))),
        after(ACCEPTED, fill("e-1", "7")),
    ],
    ids=["without a broker id", "pending cancel", "ended", "pending replace", "filled beyond"],
)
def test_a_replace_that_cannot_be(order: Order) -> None:
    assert isinstance(tell(order, replace(quantity=dec("7"))), Impossible)


def test_a_declined_replace_leaves_the_old_terms() -> None:
    order = after(ACCEPTED, replace(limit_price=dec("21")), replace_declined())
    assert (order.pending_replace, order.terms.limit_price) == (None, dec("20.00"))
    assert isinstance(tell(order, replace_declined()), Stale)


def test_a_refusal_of_an_earlier_replace_is_not_of_this_one() -> None:
    order = after(ACCEPTED, replace("r-2", limit_price=dec("21")))
    assert isinstance(tell(order, replace_declined("r-1")), Stale)
    assert isinstance(tell(order, replace_declined("r-2")), Apply)


def test_each_step_says_what_it_was_and_what_it_became() -> None:
    told = [cancel("enough"), fill("e-1", "10")]
    story = steps(after(QUEUED), *told)
    assert [(s.type, s.before, s.after.state) for s in story] == [
        (EventType.CANCEL_REQUESTED, S.SUBMITTED, S.SUBMITTED),
        (EventType.FILL, S.SUBMITTED, S.FILLED),
    ]
    assert [s.after.version for s in story] == [4, 5]
    assert story[0].event.reason is not None


def test_a_notional_order_has_no_leaves_while_it_is_open() -> None:
    order = after(start=by_notional("500"))
    assert order.leaves_quantity is None
    assert after(ACCEPTED, CANCELED, start=order).leaves_quantity == 0
