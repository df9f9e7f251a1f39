"""Every fact in every state gets an answer, and what it applies keeps the invariants."""

from itertools import product
from typing import get_args

import msgspec
import pytest

from orderd.core.events import (
    TYPE_OF,
    Canceled,
    CancelRefused,
    Denied,
    Event,
    Expired,
    OutcomeUnknown,
    Rejected,
    ReplaceRefused,
    Resolved,
    SubmitFailed,
)
from orderd.core.evolve import evolve
from orderd.core.facts import Fact, SettledByOperator, Verdicts
from orderd.core.lifecycle import decide
from orderd.core.order import ENDED, EventSource, Order, OrderState, Phase
from orderd.core.table import NEXT
from orderd.core.verdicts import Apply, Duplicate, Impossible, Stale
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    EXPIRED,
    QUEUED,
    REJECTED,
    SENT,
    Told,
    after,
    bust,
    by_notional,
    cancel,
    correct,
    created,
    dec,
    executed,
    fill,
    multileg,
    number_of,
    replace,
    report,
    successor,
)
from tests.core.test_chains import ASKED, BOUND
from tests.core.test_own_facts import (
    cancel_declined,
    denied,
    gave_up,
    lost,
    not_sent,
    refused,
    replace_declined,
)
from tests.core.test_resolve import NOT_PLACED, RESEND, adopt, busted, settle

REPLACED = msgspec.structs.replace(after(ACCEPTED), state=OrderState.REPLACED, is_external=True)
GUESSED = after(ACCEPTED, report(Phase.WORKING, filled_quantity="4", average_price="20", may_infer=True))
ORDERS: dict[str, Order] = {
    "created": created(),
    "submitted": after(),
    "pending cancel, unplaced": after(cancel()),
    "acknowledged": after(QUEUED),
    "unknown": after(lost()),
    "accepted": after(ACCEPTED),
    "pending cancel": after(ACCEPTED, cancel()),
    "pending cancel at the broker": after(ACCEPTED, report(Phase.PENDING_CANCEL)),
    "pending replace": ASKED,
    "chain": BOUND,
    "partially filled": after(ACCEPTED, fill("e-1", "4")),
    "partially filled by guess": GUESSED,
    "waiting for executions": after(ACCEPTED, report(Phase.CANCELED, filled_quantity="4", average_price="20")),
    "filled": after(ACCEPTED, fill("e-1", "4"), fill("e-2", "6")),
    "overfilled": after(ACCEPTED, fill("e-1", "4"), fill("e-2", "9")),
    "busted": after(ACCEPTED, fill("e-1", "4"), fill("e-2", "6"), bust("e-2")),
    "bust waiting": after(ACCEPTED, bust("e-1")),
    "canceled": after(ACCEPTED, fill("e-1", "4"), CANCELED),
    "canceled unsent": after(cancel(), start=created()),
    "expired": after(ACCEPTED, EXPIRED),
    "rejected": after(refused()),
    "rejected later": after(QUEUED, REJECTED),
    "denied": after(denied(), start=created()),
    "submit failed": after(gave_up()),
    "replaced": REPLACED,
    "by notional": after(ACCEPTED, start=by_notional()),
    "multileg": after(ACCEPTED, start=multileg()),
    "settled": after(ACCEPTED, settle(OrderState.EXPIRED)),
}  # fmt: skip

TOLD: dict[str, Told] = {
    "sending": SENT,
    "not sent": not_sent(),
    "outcome lost": lost(),
    "gave up": gave_up(),
    "refused": refused(),
    "denied": denied(),
    "cancel asked": cancel("why"),
    "cancel declined": cancel_declined(),
    "replace asked": replace("r-9", limit_price=dec("22")),
    "replace declined": replace_declined(),
    **{f"reported {phase}": report(phase) for phase in Phase},
    **{f"guessed {p}": report(p, filled_quantity="5", average_price="20", may_infer=True) for p in Phase},
    **{f"read {phase}": report(phase, asked_ns=10**6, updated_ns=0) for phase in Phase},
    **{f"successor {phase}": successor(phase) for phase in Phase},
    "guessed without a price": report(Phase.WORKING, filled_quantity="5", average_price=None, may_infer=True),
    "somebody's successor": successor(Phase.WORKING, is_asked=False),
    "stranger": report(Phase.WORKING, broker_order_id="b-9"),
    "of another client": report(Phase.WORKING, client_order_id="theirs"),
    "old": report(Phase.CANCELED, n=-10_000),
    "fill": fill("e-1", "4"),
    "another fill": fill("e-3", "2"),
    "whole fill": fill("e-4", "10"),
    "nameless fill": fill(None, "3"),
    "executed": executed("e-1", "4", cum="4"),
    "executed elsewhere": executed("e-1", "4", cum="4", on="b-9"),
    "executed across": executed("e-5", "5", cum="7"),
    "executed somewhere": executed("e-6", "1", cum=None),
    "bust": bust("e-1"),
    "bust of a stranger": bust("e-99"),
    "correction": correct("e-1", "c-1", "4", "21"),
    "smaller": correct("e-1", "c-2", "3", "20"),
    "larger": correct("e-1", "c-3", "10", "20"),
    "not placed": NOT_PLACED,
    "resend": RESEND,
    **{f"settled as {state}": settle(state) for state in (None, *OrderState)},
    "settled with fills": settle(OrderState.CANCELED, filled_quantity="6", average_price="20"),
    "adopted": adopt(Phase.WORKING),
    "adopted as filled": adopt(Phase.FILLED, filled_quantity="10", average_price="20"),
    "adopted a stranger": adopt(Phase.WORKING, client_order_id="theirs"),
    "adopted nothing": settle(verdict=Verdicts.ADOPT),
    "settled as busted": busted("e-1"),
    "settled as busted by a stranger": busted("e-99"),
}

SAYING_WHY = (CancelRefused, Denied, Expired, OutcomeUnknown, Rejected, ReplaceRefused, Resolved, SubmitFailed)
EDGES = {(source, dest) for (source, _), dest in NEXT.items()}


def check(before: Order, after_it: Order, event: Event, was: OrderState | None) -> None:
    assert was is before.state
    assert evolve(before, event) == after_it
    assert after_it.version == before.version + 1
    assert after_it.state is was or (was, after_it.state) in EDGES
    counted = [f for f in after_it.fills if f.is_counted]
    if not after_it.is_parent_of_legs:
        assert after_it.filled_quantity == sum(f.quantity for f in counted)
        assert after_it.filled_value == sum(f.quantity * f.price for f in counted)
    assert (after_it.closed_time is None) is (after_it.state not in ENDED)
    if after_it.state in ENDED:
        assert after_it.leaves_quantity == 0
        assert (after_it.pending_cancel, after_it.pending_replace) == (False, None)


def check_origin(fact: Fact, event: Event, before: Order) -> None:
    """Who said it and when is never lost on the way from a fact to its events, nor why."""
    assert event.at == fact.at
    is_ours = isinstance(event, Canceled) and not before.links
    assert event.source is (EventSource.ENGINE if is_ours and before.state is OrderState.CREATED else fact.source)
    assert event.heard_ns == fact.heard_ns
    says_why = isinstance(event, SAYING_WHY) or (isinstance(event, Canceled) and not before.links)
    assert event.reason is not None or not says_why, event
    if event.reason is not None:
        assert event.reason.code
        assert event.reason.origin
        assert isinstance(event.reason.message, str)
    if event.link is not None:
        assert event.link.client_order_id, "views say it"


@pytest.mark.parametrize("name", ORDERS)
def test_every_fact_gets_an_answer(name: str) -> None:
    order = ORDERS[name] if name != "replaced" else msgspec.structs.replace(REPLACED, closed_time=REPLACED.created_time)
    for told in TOLD.values():
        fact = told(order, number_of(order))
        verdict = decide(order, fact)
        assert isinstance(verdict, Apply | Duplicate | Stale | Impossible)
        assert all({finding.expected, finding.observed}.isdisjoint({"", "None"}) for finding in verdict.findings), fact
        if isinstance(verdict, Apply):
            before = order
            for step in verdict.steps:
                check(before, step.after, step.event, step.before)
                check_origin(fact, step.event, before)
                before = step.after
            assert verdict.order == before


@pytest.mark.parametrize("name", ORDERS)
def test_every_two_facts_in_turn(name: str) -> None:
    """What one fact leaves behind, the next one can be judged on; and the second telling of it changes nothing more."""
    start = ORDERS[name]
    for first, second in product(TOLD.values(), repeat=2):
        once = decide(start, first(start, number_of(start)))
        order = once.order if isinstance(once, Apply) else start
        fact = second(order, number_of(order))
        verdict = decide(order, fact)
        if isinstance(verdict, Apply):
            again = decide(verdict.order, fact)
            fills = [f.fill_id for f in verdict.order.fills if f.is_counted]
            if isinstance(again, Apply):
                assert [f.fill_id for f in again.order.fills if f.is_counted] == fills


def test_every_kind_of_fact_was_told() -> None:
    order = after(ACCEPTED)
    assert {type(told(order, 1)) for told in TOLD.values()} == set(get_args(Fact))


def test_every_state_was_told_them() -> None:
    assert {order.state for order in ORDERS.values()} == set(OrderState)


def test_every_event_has_a_type_of_its_own() -> None:
    assert set(TYPE_OF) == set(get_args(Event))
    assert len(set(TYPE_OF.values())) == len(TYPE_OF)


def test_every_verdict_of_an_operator_was_told() -> None:
    order = after()
    facts = [told(order, 1) for told in TOLD.values()]
    assert {f.verdict for f in facts if isinstance(f, SettledByOperator)} == set(Verdicts)
