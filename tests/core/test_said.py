"""What is said must not get lost: reasons, names, times and findings, in the corners that nothing else looks at."""

import msgspec
import pytest

from orderd.core.book import infer
from orderd.core.events import Created, FillBusted, FillCorrected
from orderd.core.imports import external_order
from orderd.core.keys import derive
from orderd.core.lifecycle import create, decide
from orderd.core.order import EventSource, Mode, OrderState, OrderType, Phase
from orderd.core.reconcile import plan
from orderd.core.settle import differing_terms
from orderd.core.values import AccountId, OrderId
from orderd.core.verdicts import Stale
from tests.core.builders import (
    ACCEPTED,
    AT,
    Told,
    after,
    applied,
    bust,
    cancel,
    correct,
    created,
    dec,
    executed,
    fill,
    intent,
    kinds,
    needs,
    report,
    seen,
    steps,
    successor,
    tell,
    terms,
    when,
)
from tests.core.test_chains import BOUND
from tests.core.test_own_facts import cancel_declined, gave_up, lost
from tests.core.test_resolve import settle

NOW = 10**6


def test_the_first_step_of_an_order_is_its_creation() -> None:
    step = create(created(), source=EventSource.CLIENT)
    assert isinstance(step.event, Created)
    assert (step.event.at, step.event.source, step.before) == (AT, EventSource.CLIENT, None)


def test_the_brokers_names_and_id_of_the_client_stay_on_the_link() -> None:
    (link,) = after(ACCEPTED).links
    assert (link.broker_order_id, link.client_order_id, link.status) == ("b-1", "key-1", "new")


@pytest.mark.parametrize(
    ("told", "code", "message"),
    [
        ((ACCEPTED, report(Phase.EXPIRED, "expired", reason_text="the day is over")), "EXPIRED", "the day is over"),
        ((cancel("changed my mind"), gave_up()), "STALE", None),
        ((lost(),), None, None),
    ],
)
def test_an_end_says_why(told: tuple[Told, ...], code: str | None, message: str | None) -> None:
    reason = after(*told).reason
    assert reason is not None
    assert code is None or reason.code == code
    assert message is None or reason.message == message


def test_a_cancel_from_elsewhere_says_what_the_broker_called_it_and_its_end_too() -> None:
    asked, withdrawn = steps(
        after(ACCEPTED), report(Phase.PENDING_CANCEL, "pending_cancel"), report(Phase.WORKING, "new")
    )
    assert asked.event.reason is not None
    assert (asked.event.reason.code, asked.event.reason.message) == ("CANCEL_AT_BROKER", "pending_cancel")
    assert withdrawn.event.reason is not None
    assert (withdrawn.event.reason.code, withdrawn.event.reason.message) == ("CANCEL_WITHDRAWN", "new")


def test_a_replace_at_the_broker_names_both_orders() -> None:
    verdict = applied(tell(after(ACCEPTED), successor(Phase.WORKING, "new", is_asked=False)))
    (named,) = [step.event for step in verdict.steps if step.event.reason is not None]
    assert named.reason is not None
    assert named.reason.message == "b-1 became b-2"


def test_the_trail_of_an_undone_execution_names_its_broker_order() -> None:
    verdict = applied(tell(after(ACCEPTED, bust("e-1")), fill("e-1", "4")))
    (undone,) = [step.event for step in verdict.steps if isinstance(step.event, FillBusted)]
    assert undone.link is not None
    assert undone.link.broker_order_id == "b-1"


def test_a_stale_word_still_tells_what_it_contradicts() -> None:
    order = after(ACCEPTED, fill("e-1", "4"))
    # The same execution at another price, in a message that is older than what is known.
    verdict = decide(order, fill("e-1", "4", "21", cum="4", status="old", updated_ns=1)(order, 1))
    assert isinstance(verdict, Stale)
    assert kinds(verdict) == ["EXECUTION_CHANGED"]


def test_a_word_of_another_price_does_not_turn_the_brokers_time_back() -> None:
    order = after(ACCEPTED, fill("e-1", "2"))
    known = order.links[-1].updated_ns
    grown = after(report(Phase.WORKING, "partially_filled", filled_quantity="3", updated_ns=known - 5), start=order)
    assert grown.links[-1].reported_quantity == 3
    assert grown.links[-1].updated_ns == known


def test_a_price_of_nothing_is_no_price_of_an_inferred_fill() -> None:
    """Two were executed at 20; if three average 13.3333, the third cost nothing: that is the broker's rounding."""
    order = after(ACCEPTED, fill("e-1", "2", "20"))
    link = msgspec.structs.replace(order.links[-1], reported_quantity=dec(4), reported_average=dec(10))
    (guessed,) = infer(order, link, when(9), EventSource.ENGINE, None)
    assert (guessed.quantity, guessed.price) == (dec(2), dec(10))


def test_a_key_without_any_size_is_the_same_for_ever() -> None:
    asked = intent(terms=terms(quantity=None))
    assert derive(asked) == "t-hxy2boljlsefblabp6hw56beym"


def test_every_order_without_an_answer_is_looked_up_whatever_stands_before_it() -> None:
    working, first, second = after(ACCEPTED), after(lost()), after(lost())
    orders = [
        working,
        msgspec.structs.replace(first, order_id=OrderId("o-2")),
        msgspec.structs.replace(second, order_id=OrderId("o-3")),
    ]
    planned = plan(orders=orders, seen_open=[], seen_since=[], executions=[], asked_ns=NOW, at=when(500))
    assert list(planned.lookups) == ["o-2", "o-3"]


def test_of_two_views_that_know_as_much_the_one_of_an_end_is_the_later() -> None:
    stranger = seen(after(ACCEPTED), NOW, Phase.WORKING, "new", broker_order_id="b-9", client_order_id="theirs")
    ended = msgspec.structs.replace(stranger, phase=Phase.CANCELED, status="canceled")
    for views in ([stranger, ended], [ended, stranger]):
        planned = plan(orders=[], seen_open=views, seen_since=[], executions=[], asked_ns=NOW, at=when(500))
        assert [view.phase for view in planned.externals] == [Phase.CANCELED]


def test_successors_that_replace_each_other_are_taken_all_the_same() -> None:
    """A broker that says so makes no sense; a plan is made nevertheless."""
    order = after(ACCEPTED)
    key = order.intent.client_order_id
    one = seen(order, NOW, Phase.WORKING, "new", broker_order_id="b-2", replaces="b-3", client_order_id=key)
    other = seen(order, NOW, Phase.WORKING, "new", broker_order_id="b-3", replaces="b-2", client_order_id=key)
    planned = plan(orders=[order], seen_open=[one, other], seen_since=[], executions=[], asked_ns=NOW, at=when(500))
    assert [order_id for order_id, _ in planned.facts]


def test_an_imported_order_keeps_when_it_was_submitted() -> None:
    view = seen(after(ACCEPTED), NOW, Phase.WORKING, "new", submitted_time=when(3))
    order = external_order(
        view, order_id=OrderId("o-9"), account_id=AccountId("paper"), broker="alpaca", mode=Mode.PAPER, at=when(9)
    )
    assert order.submitted_time == when(3)
    assert order.state is not OrderState.CREATED


def test_a_known_average_is_not_forgotten_when_a_view_does_not_print_it() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "20"))
    again = after(report(Phase.WORKING, "held", filled_quantity="4", average_price=None), start=order)
    assert (again.links[-1].status, again.links[-1].reported_average) == ("held", 20)


def test_an_end_that_its_executions_bring_about_has_no_words_that_nobody_said() -> None:
    waiting = after(ACCEPTED, report(Phase.EXPIRED, "expired", filled_quantity="4", average_price="20"))
    assert waiting.is_open
    order = after(executed("e-1", "4", cum="4"), start=waiting)
    assert order.state is OrderState.EXPIRED
    assert order.reason is not None
    assert (order.reason.code, order.reason.message) == ("EXPIRED", "")


@pytest.mark.parametrize("trail", ["trail_price", "trail_percent"])
def test_a_trail_that_the_broker_does_not_print_is_no_change(trail: str) -> None:
    ours = terms(type=OrderType.TRAILING_STOP, limit_price=None, **{trail: dec("1.5")})
    assert differing_terms(ours, msgspec.structs.replace(ours, **{trail: None})) is None
    assert differing_terms(ours, msgspec.structs.replace(ours, **{trail: dec(2)})) is not None


def test_a_price_that_is_corrected_brings_no_ended_order_back() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), settle(OrderState.CANCELED))
    assert order.state is OrderState.CANCELED
    corrected = after(correct("e-1", "c-1", "4", "21"), start=order)
    assert (corrected.state, corrected.average_fill_price) == (OrderState.CANCELED, 21)


def test_a_leg_without_an_answer_has_its_parent_looked_up() -> None:
    parent = after(lost())
    leg = msgspec.structs.replace(parent, order_id=OrderId("o-2"), parent_order_id=parent.order_id, leg_number=1)
    planned = plan(orders=[leg, parent], seen_open=[], seen_since=[], executions=[], asked_ns=NOW, at=when(500))
    assert set(planned.lookups) == {"o-1"}
    flying = plan(
        orders=[leg, parent],
        seen_open=[],
        seen_since=[],
        executions=[],
        asked_ns=NOW,
        at=when(500),
        in_flight=[parent.order_id],
    )
    assert list(flying.lookups) == ["o-1"]
    alone = plan(orders=[leg], seen_open=[], seen_since=[], executions=[], asked_ns=NOW, at=when(500))
    assert list(alone.lookups) == []


def test_a_revived_end_says_what_the_broker_called_it() -> None:
    order = after(gave_up())
    verdict = applied(tell(order, ACCEPTED))
    (finding,) = verdict.findings
    assert (finding.kind, finding.expected, finding.observed) == ("REVIVED", "SUBMIT_FAILED", "new")
    restated = verdict.steps[0].event
    assert restated.reason is not None
    assert (restated.reason.code, restated.reason.message) == ("REVIVED", "new")
    assert restated.reason.origin is EventSource.BROKER_STREAM


def test_a_refused_cancel_says_what_the_broker_said() -> None:
    order = after(ACCEPTED, cancel())
    fact = msgspec.structs.replace(cancel_declined()(order, 50), message="too late", code="42210000")
    reason = applied(decide(order, fact)).order.reason
    assert reason is not None
    assert (reason.code, reason.message) == ("42210000", "too late")


def test_what_an_elder_traded_counts_although_its_word_does_not() -> None:
    told = report(
        Phase.REPLACED, "replaced", broker_order_id="b-1", filled_quantity="3", average_price="20", updated_ns=1
    )
    assert needs(tell(BOUND, told)) == [("EXECUTIONS", "b-1")]


def test_a_consumed_inference_leaves_the_brokers_word_on_the_link() -> None:
    guessed = after(
        ACCEPTED, report(Phase.WORKING, "partially_filled", filled_quantity="4", average_price="20", may_infer=True)
    )
    verdict = applied(tell(guessed, fill("e-1", "4", cum="4")))
    (consumed,) = [step.event for step in verdict.steps if isinstance(step.event, FillCorrected)]
    assert consumed.link is not None
    assert consumed.link.broker_order_id == "b-1"


def test_after_a_bust_the_brokers_old_average_is_believed_no_more() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "20"), fill("e-2", "2", "21"), bust("e-2"))
    assert order.links[-1].reported_average is None


def test_what_was_executed_at_the_instant_of_a_bust_was_executed_before_it() -> None:
    (link,) = after(ACCEPTED, fill("e-1", "4"), bust("e-1", n=90)).links
    assert [link.epoch_of(when(n)) for n in (89, 90, 91)] == [0, 0, 1]


def test_a_corrected_fill_was_recorded_when_the_correction_came() -> None:
    order = after(ACCEPTED, fill("e-1", "4"))
    fact = correct("e-1", "c-1", "4", "21")(order, 70)
    corrected = applied(decide(order, fact)).order
    assert [f.recorded_time for f in corrected.fills if f.is_counted] == [when(70)]


def test_a_correction_to_more_than_was_asked_is_an_overfill() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), correct("e-1", "c-1", "12", "20"))
    assert (order.filled_quantity, order.is_overfilled) == (12, True)
