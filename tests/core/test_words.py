"""The broker's word: which one counts, what it moves, and what stays beside the state."""

from decimal import Decimal

import pytest

from orderd.core.events import EventType
from orderd.core.order import EventSource, Order, OrderState, OrderType, Phase
from orderd.core.verdicts import Duplicate, Stale
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    EXPIRED,
    QUEUED,
    REJECTED,
    SENT,
    Told,
    after,
    applied,
    by_notional,
    cancel,
    created,
    dec,
    fill,
    intent,
    kinds,
    needs,
    replace,
    report,
    steps,
    tell,
    terms,
    when,
)

S = OrderState


@pytest.mark.parametrize(
    ("told", "state", "kind"),
    [
        (QUEUED, S.SUBMITTED, EventType.ACKNOWLEDGED),
        (ACCEPTED, S.ACCEPTED, EventType.ACCEPTED),
        (CANCELED, S.CANCELED, EventType.CANCELED),
        (EXPIRED, S.EXPIRED, EventType.EXPIRED),
        (REJECTED, S.REJECTED, EventType.REJECTED),
    ],
)
def test_each_word_moves_an_acknowledged_order(told: Told, state: OrderState, kind: EventType) -> None:
    story = steps(after(), told)
    assert (story[0].type, story[-1].type, story[-1].after.state) == (EventType.ACKNOWLEDGED, kind, state)


def test_an_acknowledgement_is_one_event_that_carries_the_whole_word() -> None:
    story = steps(after(), report(Phase.QUEUED, "pending_new", expires_time=when(99)))
    assert [s.type for s in story] == [EventType.ACKNOWLEDGED]
    link = story[0].after.links[0]
    assert (link.status, link.phase, story[0].after.broker_status) == ("pending_new", Phase.QUEUED, "pending_new")
    assert story[0].after.expires_time == when(99)


def test_the_end_has_the_brokers_time_and_whose_word_it_was() -> None:
    order = after(ACCEPTED, report(Phase.CANCELED, ended_time=when(500)))
    assert (order.closed_time, order.closed_by) == (when(500), EventSource.BROKER_STREAM)


def test_an_end_read_for_an_operator_is_still_the_brokers() -> None:
    order = after(ACCEPTED, report(Phase.CANCELED, source=EventSource.OPERATOR))
    assert order.closed_by is EventSource.BROKER_REPLY


@pytest.mark.parametrize(
    "told",
    [
        report(Phase.CANCELED, n=-1000),
        report(Phase.CANCELED, filled_quantity="3"),
        report(Phase.CANCELED, updated_ns=0, asked_ns=1),
        report(Phase.CANCELED, asked_ns=1),
    ],
    ids=["older", "knows fewer fills", "asked before", "asked before, though later by its own clock"],
)
def test_an_outdated_view_moves_nothing(told: Told) -> None:
    order = after(ACCEPTED, fill("e-1", "4"))
    verdict = tell(order, told)
    assert isinstance(verdict, Stale)
    assert after(told, start=order) == order


def test_the_same_view_again_is_a_duplicate() -> None:
    order = after(ACCEPTED)
    same = report(Phase.WORKING, "new", updated_ns=order.links[0].updated_ns)
    assert isinstance(tell(order, same), Duplicate)


def test_a_view_without_a_time_counts_by_when_it_was_asked_for() -> None:
    order = after(ACCEPTED)
    assert after(report(Phase.CANCELED, updated_ns=0), start=order).state is S.CANCELED
    assert after(report(Phase.CANCELED, updated_ns=0, asked_ns=10**6), start=order).state is S.CANCELED


def test_growth_counts_whatever_the_times_say() -> None:
    order = after(ACCEPTED, fill("e-1", "4"))
    grown = applied(tell(order, report(Phase.CANCELED, n=-1000, filled_quantity="5", average_price="20")))
    assert grown.order.links[0].reported_quantity == 5
    assert needs(grown) == [("EXECUTIONS", "b-1")]


def test_a_new_word_of_the_same_meaning_is_kept() -> None:
    story = steps(after(ACCEPTED), report(Phase.WORKING, "done_for_day"))
    assert [s.type for s in story] == [EventType.RESTATED]
    assert (story[0].after.broker_status, story[0].after.state, story[0].after.leaves_quantity) == (
        "done_for_day",
        S.ACCEPTED,
        10,
    )


def test_an_unknown_word_is_kept_and_read() -> None:
    verdict = applied(tell(after(ACCEPTED), report(Phase.UNKNOWN, "in_orbit")))
    assert (verdict.order.state, verdict.order.broker_status, needs(verdict)) == (
        S.ACCEPTED,
        "in_orbit",
        [("ORDER", "b-1")],
    )
    assert needs(tell(after(ACCEPTED), report(Phase.UNKNOWN, "in_orbit", asked_ns=10**6))) == []


def test_calculated_after_filled_is_no_contradiction() -> None:
    verdict = tell(after(ACCEPTED, fill("e-1", "10")), report(Phase.WORKING, "calculated"))
    assert (kinds(verdict), applied(verdict).order.state) == ([], S.FILLED)


def test_a_working_word_about_an_order_the_broker_ended_is_a_contradiction() -> None:
    verdict = tell(after(ACCEPTED, CANCELED), ACCEPTED)
    assert (kinds(verdict), applied(verdict).order.state) == (["ENDED_BUT_LIVE"], S.CANCELED)


def test_a_live_word_revives_what_the_broker_had_refused() -> None:
    verdict = applied(tell(after(QUEUED, REJECTED), ACCEPTED))
    assert (verdict.order.state, verdict.order.closed_by, verdict.order.closed_time) == (S.ACCEPTED, None, None)
    assert kinds(verdict) == ["REVIVED"]
    assert applied(tell(after(QUEUED, REJECTED), QUEUED)).order.state is S.SUBMITTED


# -------------------------------------------------------------------------------------------------------------- flags


def test_a_cancel_asked_at_the_broker_is_shown() -> None:
    story = steps(after(ACCEPTED), report(Phase.PENDING_CANCEL))
    assert [s.type for s in story] == [EventType.CANCEL_REQUESTED]
    assert (story[0].after.pending_cancel, story[0].after.cancel_asked_by) == (True, EventSource.BROKER_STREAM)


def test_and_is_over_when_the_broker_works_on() -> None:
    story = steps(after(ACCEPTED, report(Phase.PENDING_CANCEL)), ACCEPTED)
    assert [s.type for s in story] == [EventType.CANCEL_REFUSED]
    assert (story[0].after.pending_cancel, story[0].after.broker_status) == (False, "new")


@pytest.mark.parametrize("told", [fill("e-1", "4"), report(Phase.UNKNOWN, "odd")])
def test_but_not_by_a_fill_or_a_word_nobody_knows(told: Told) -> None:
    assert after(ACCEPTED, report(Phase.PENDING_CANCEL), told).pending_cancel


def test_our_own_cancel_is_followed_to_its_proof() -> None:
    order = after(ACCEPTED, cancel(), report(Phase.PENDING_CANCEL), ACCEPTED)
    assert order.pending_cancel


def test_pending_replace_is_a_word_beside_the_state() -> None:
    order = after(ACCEPTED, report(Phase.PENDING_REPLACE))
    assert (order.state, order.pending_replace, order.broker_status) == (S.ACCEPTED, None, "pending_replace")


# -------------------------------------------------------------------------------------------------------------- terms


def test_other_terms_of_a_working_order_are_restated() -> None:
    story = steps(after(ACCEPTED), report(Phase.WORKING, "new", terms=terms(limit_price=dec("20.5"))))
    assert [s.type for s in story] == [EventType.RESTATED]
    assert (story[0].after.terms.limit_price, story[0].after.intent.terms.limit_price) == (dec("20.5"), dec("20.00"))


def test_a_lower_quantity_that_is_filled_already_fills_the_order() -> None:
    read = report(Phase.WORKING, "partially_filled", terms=terms(quantity=dec("4")), asked_ns=10**6)
    order = after(ACCEPTED, fill("e-1", "4"), read)
    assert (order.state, order.terms.quantity) == (S.FILLED, 4)


@pytest.mark.parametrize("quantity", ["4", "1", "20"])
def test_another_quantity_that_a_message_tells_is_read_before_it_is_believed(quantity: str) -> None:
    """It could end the order, and a message cannot be asked again."""
    order = after(ACCEPTED, fill("e-1", "4"))
    told = report(Phase.WORKING, "partially_filled", terms=terms(quantity=dec(quantity), limit_price=dec("21")))
    verdict = applied(tell(order, told))
    assert (verdict.order.state, verdict.order.terms) == (S.PARTIALLY_FILLED, terms(limit_price=dec("21")))
    assert needs(verdict) == [("ORDER", "b-1")]


def test_filled_at_a_quantity_the_broker_lowered_is_filled() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), report(Phase.FILLED, terms=terms(quantity=dec("4")), asked_ns=10**6))
    assert order.state is S.FILLED


@pytest.mark.parametrize(
    "told",
    [
        report(Phase.WORKING, "new", terms=None),
        report(Phase.WORKING, "new", terms=terms(limit_price=None)),
        report(Phase.WORKING, "new", terms=terms(limit_price=Decimal(20))),
        report(Phase.REPLACED, terms=terms(limit_price=dec("21"))),
    ],
    ids=["none told", "price not printed", "same value", "of the replaced one"],
)
def test_terms_that_are_no_news(told: Told) -> None:
    assert after(ACCEPTED, told).terms == terms()


def test_terms_are_not_restated_while_a_replace_of_ours_is_on_its_way() -> None:
    order = after(
        ACCEPTED, replace(limit_price=dec("21")), report(Phase.WORKING, "new", terms=terms(limit_price=dec("22")))
    )
    assert order.terms.limit_price == dec("20.00")


def test_a_trailing_stops_moving_figure_is_no_term() -> None:
    trailing = terms(type=OrderType.TRAILING_STOP, limit_price=None, trail_price=dec("1"))
    order = after(SENT, ACCEPTED, start=created(intent(terms=trailing)))
    moved = report(
        Phase.WORKING,
        "new",
        terms=terms(type=OrderType.TRAILING_STOP, limit_price=None, stop_price=dec("19"), trail_price=dec("1")),
    )
    assert after(moved, start=order).terms == trailing


def test_another_type_takes_all_its_prices_with_it() -> None:
    turned = terms(type=OrderType.STOP, limit_price=None, stop_price=dec("19"))
    assert after(ACCEPTED, report(Phase.WORKING, "new", terms=turned)).terms == turned


def test_the_outcome_of_an_order_by_notional_is_not_its_quantity() -> None:
    start = after(ACCEPTED, start=by_notional())
    seen_terms = terms(type=OrderType.MARKET, limit_price=None, quantity=dec("25"))
    assert after(report(Phase.WORKING, "new", terms=seen_terms), start=start).terms == start.terms


def test_terms_of_an_ended_order_stay() -> None:
    order: Order = after(ACCEPTED, CANCELED, report(Phase.CANCELED, terms=terms(limit_price=dec("21"))))
    assert order.terms == terms()
