"""The order lifecycle: which facts may follow which, and what each one does.

Rule 1: every change of state is decided here (our own facts), in reports.py (a broker's), busts.py and resolve.py (an
operator's), along the rows of table.py.
Rule 2: no I/O, no clock, no ids are made here; a fact arrives with its own.
Rule 3: `decide` judges and changes nothing, raises nothing, and answers every fact in every state.
"""

from typing import assert_never

from orderd.core.busts import judge_bust, judge_correction
from orderd.core.events import (
    Canceled,
    CancelRefused,
    CancelRequested,
    Created,
    Denied,
    Imported,
    OutcomeUnknown,
    Rejected,
    ReplaceRefused,
    ReplaceRequested,
    Restated,
    Step,
    SubmitFailed,
    Submitted,
)
from orderd.core.evolve import evolve
from orderd.core.facts import (
    CancelAsked,
    CancelDeclined,
    DeniedByRisk,
    Executed,
    ExecutionBusted,
    ExecutionCorrected,
    Fact,
    GaveUp,
    NotSent,
    OutcomeLost,
    Refused,
    ReplaceAsked,
    ReplaceDeclined,
    Reported,
    Sending,
    SettledByOperator,
)
from orderd.core.order import OURS, EventSource, Order, OrderState, PendingReplace, Phase
from orderd.core.reports import judge_execution, judge_report
from orderd.core.resolve import judge_settlement
from orderd.core.values import Reason
from orderd.core.verdicts import Draft, Duplicate, Stale, Verdict, impossible

__all__ = ["create", "decide", "evolve", "imported"]

NOT_SENT = "NOT_SENT"


def create(order: Order, *, source: EventSource) -> Step:
    """The first step of an order submitted through orderd: `order` is CREATED at version 0."""
    event = Created(at=order.created_time, source=source)
    return Step(event=event, before=None, after=evolve(order, event))


_TAKEN_UP = "submitted through orderd; its record was lost when the journal was restored from a backup"


def imported(order: Order, *, source: EventSource) -> Step:
    """The first step of an order found at the broker: written down as the broker describes it, fills still to come."""
    reason = Reason(code="TAKEN_UP", message=_TAKEN_UP, origin=source) if order.is_taken_up else None
    event = Imported(at=order.updated_time, source=source, to_state=order.state, reason=reason)
    return Step(event=event, before=None, after=evolve(order, event))


def decide(order: Order, fact: Fact) -> Verdict:  # noqa: C901, PLR0911, PLR0912 - one arm per fact, no catch-all
    """Judge a fact against the record. Changes nothing, raises nothing."""
    match fact:
        case Reported():
            return judge_report(order, fact)
        case Executed():
            return judge_execution(order, fact)
        case Sending():
            return _sending(order, fact)
        case NotSent():
            return _not_sent(order, fact)
        case OutcomeLost():
            return _outcome_lost(order, fact)
        case GaveUp():
            return _gave_up(order, fact)
        case Refused():
            return _refused(order, fact)
        case DeniedByRisk():
            return _denied(order, fact)
        case CancelAsked():
            return _cancel_asked(order, fact)
        case CancelDeclined():
            return _cancel_declined(order, fact)
        case ReplaceAsked():
            return _replace_asked(order, fact)
        case ReplaceDeclined():
            return _replace_declined(order, fact)
        case ExecutionBusted():
            return judge_bust(order, fact)
        case ExecutionCorrected():
            return judge_correction(order, fact)
        case SettledByOperator():
            return judge_settlement(order, fact)
        case _:  # pragma: no cover - the union is closed: the checkers prove this line unreachable
            assert_never(fact)


def _is_unplaced(order: Order) -> bool:
    """No broker id is known: what became of it is our own knowledge alone."""
    return not order.links and order.is_open


def _sending(order: Order, fact: Sending) -> Verdict:
    if not _is_unplaced(order):
        return impossible(order, "sending")
    draft = Draft(order)
    if order.pending_cancel:
        draft.add(Canceled(at=fact.at, source=fact.source, reason=Reason(code=NOT_SENT, origin=EventSource.ENGINE)))
    else:
        draft.add(Submitted(at=fact.at, source=fact.source))
    return draft.verdict()


def _not_sent(order: Order, fact: NotSent) -> Verdict:
    if not _is_unplaced(order):
        return Stale()
    draft = Draft(order)
    reason = Reason(code=NOT_SENT, message=f"{fact.code}: {fact.message}".strip(": "), origin=fact.source)
    if order.pending_cancel and order.state is not OrderState.UNKNOWN:
        draft.add(Canceled(at=fact.at, source=fact.source, reason=reason))
    else:
        draft.add(Restated(at=fact.at, source=fact.source, to_state=order.state, reason=reason))
    return draft.verdict()


def _outcome_lost(order: Order, fact: OutcomeLost) -> Verdict:
    if not _is_unplaced(order):
        return Stale()
    if order.state is OrderState.UNKNOWN:
        return Duplicate()
    draft = Draft(order)
    reason = Reason(code=fact.code, message=fact.message, origin=fact.source)
    draft.add(OutcomeUnknown(at=fact.at, source=fact.source, reason=reason))
    return draft.verdict()


def _gave_up(order: Order, fact: GaveUp) -> Verdict:
    if not _is_unplaced(order) or fact.attempts not in {None, order.attempts}:
        return Stale()
    draft = Draft(order)
    reason = Reason(code=fact.code, message=fact.message, origin=fact.source)
    if order.pending_cancel:
        draft.add(Canceled(at=fact.at, source=fact.source, reason=reason))
    else:
        draft.add(SubmitFailed(at=fact.at, source=fact.source, reason=reason))
    return draft.verdict()


def _refused(order: Order, fact: Refused) -> Verdict:
    if not _is_unplaced(order) or order.state is OrderState.CREATED:
        return Stale()
    draft = Draft(order)
    reason = Reason(code=fact.code, message=fact.message, origin=fact.source)
    draft.add(Rejected(at=fact.at, source=fact.source, reason=reason))
    return draft.verdict()


def _denied(order: Order, fact: DeniedByRisk) -> Verdict:
    if order.state is not OrderState.CREATED:
        return impossible(order, "denial")
    draft = Draft(order)
    draft.add(
        Denied(
            at=fact.at,
            source=fact.source,
            reason=Reason(code=fact.code, message=fact.message, origin=EventSource.RISK),
        )
    )
    return draft.verdict()


def _cancel_asked(order: Order, fact: CancelAsked) -> Verdict:
    if order.state is OrderState.CANCELED or (order.is_open and order.pending_cancel and order.cancel_asked_by in OURS):
        return Duplicate()
    if not order.is_open:
        return impossible(order, "cancel")
    draft = Draft(order)
    asked = Reason(code="CANCEL_REQUESTED", message=fact.reason, origin=fact.source) if fact.reason else None
    draft.add(CancelRequested(at=fact.at, source=fact.source, reason=asked))
    if order.state is OrderState.CREATED and not order.links:
        reason = Reason(code=NOT_SENT, message=fact.reason, origin=EventSource.ENGINE)
        draft.add(Canceled(at=fact.at, source=EventSource.ENGINE, reason=reason))
    return draft.verdict()


def _cancel_declined(order: Order, fact: CancelDeclined) -> Verdict:
    if not order.pending_cancel or (order.links and order.links[-1].phase is Phase.PENDING_CANCEL):
        return Stale()  # while the broker says that it is on its way out, a refusal is of an earlier cancel
    draft = Draft(order)
    reason = Reason(code=fact.code, message=fact.message, origin=fact.source)
    draft.add(CancelRefused(at=fact.at, source=fact.source, reason=reason))
    return draft.verdict()


def _replace_asked(order: Order, fact: ReplaceAsked) -> Verdict:
    for earlier in order.replace_requests:
        if earlier.request_id == fact.request_id:
            return Duplicate() if earlier.terms == fact.terms else impossible(order, "replace request id reused")
    if not order.is_open or not order.links or order.pending_cancel or order.pending_replace is not None:
        return impossible(order, "replace")
    if fact.terms == order.terms:
        return Duplicate()
    if fact.terms.quantity is not None and fact.terms.quantity <= order.filled_quantity:
        return impossible(order, "replace to a quantity at or below the filled one")
    pending = PendingReplace(
        request_id=fact.request_id,
        number=len(order.replace_requests) + 1,
        client_order_id=fact.client_order_id,
        terms=fact.terms,
        asked_time=fact.at,
    )
    draft = Draft(order)
    draft.add(ReplaceRequested(at=fact.at, source=fact.source, pending=pending))
    return draft.verdict()


def _replace_declined(order: Order, fact: ReplaceDeclined) -> Verdict:
    pending = order.pending_replace
    if pending is None or fact.request_id not in {"", pending.request_id}:
        return Stale()
    draft = Draft(order)
    reason = Reason(code=fact.code, message=fact.message, origin=fact.source)
    draft.add(ReplaceRefused(at=fact.at, source=fact.source, reason=reason))
    return draft.verdict()
