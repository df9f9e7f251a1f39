"""What an operator settles when evidence could not.

Rule 1: an operator may end an order, prove it absent, name its broker order or an execution that was taken back, and
still cannot contradict what is booked.
Rule 2: whatever is settled, the operator's reason, evidence and name stand in an event of their own.
"""

import msgspec

from orderd.core.book import infer, known_as
from orderd.core.busts import judge_bust
from orderd.core.events import Filled, Resolved
from orderd.core.facts import ExecutionBusted, Reported, SettledByOperator, Verdicts
from orderd.core.order import EventSource, Order, OrderState
from orderd.core.reports import judge_report
from orderd.core.settle import state_after_fill
from orderd.core.table import Move
from orderd.core.values import ExecutionId, Reason, add
from orderd.core.verdicts import Apply, Draft, Impossible, Verdict, impossible

_ENDS = {
    OrderState.CANCELED: Move.CANCEL,
    OrderState.EXPIRED: Move.EXPIRE,
    OrderState.REJECTED: Move.REJECT,
    OrderState.FILLED: Move.FILL_REST,
}


def judge_settlement(order: Order, fact: SettledByOperator) -> Verdict:
    """Judge an operator's word about an order that has not ended (a bust may also be of one that has)."""
    if fact.verdict is Verdicts.BUSTED:
        return _busted(order, fact)
    if not order.is_open:
        return impossible(order, "settling")
    match fact.verdict:
        case Verdicts.NOT_PLACED:
            return _unplaced(order, fact, OrderState.SUBMIT_FAILED)
        case Verdicts.RESEND:
            return _unplaced(order, fact, order.state)
        case Verdicts.ADOPT:
            return _adopted(order, fact)
        case Verdicts.ENDED:  # pragma: no branch - the last of its kind
            return _ended(order, fact)


def _unplaced(order: Order, fact: SettledByOperator, to_state: OrderState) -> Verdict:
    """It is not at the broker: given up, or to be sent again (which `Sending` then records)."""
    if order.links:
        return impossible(order, f"settling as {fact.verdict}")
    draft = Draft(order)
    _resolve(draft, fact, to_state)
    return draft.verdict()


def _adopted(order: Order, fact: SettledByOperator) -> Verdict:
    """It is that broker order: bound like any other report, or not at all."""
    if fact.view is None:
        return impossible(order, "adopting nothing")
    draft = Draft(order)
    _resolve(draft, fact, order.state)
    report = Reported(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, view=fact.view)
    return _followed_by(draft, judge_report(draft.order, report))


def _busted(order: Order, fact: SettledByOperator) -> Verdict:
    """The broker took an execution back that counts here."""
    if not any(fill.is_counted for fill in known_as(order, fact.execution_id)):
        return impossible(order, f"taking back execution {fact.execution_id}, which does not count")
    draft = Draft(order)
    _resolve(draft, fact, order.state)
    bust = ExecutionBusted(
        at=fact.at,
        source=fact.source,
        heard_ns=fact.heard_ns,
        previous_execution_id=ExecutionId(fact.execution_id),
    )
    return _followed_by(draft, judge_bust(draft.order, bust))


def _followed_by(draft: Draft, verdict: Verdict) -> Verdict:
    """The operator's word, and what follows from it; nothing at all when nothing follows."""
    if not isinstance(verdict, Apply):
        return verdict
    return msgspec.structs.replace(verdict, steps=draft.steps + verdict.steps)


def _ended(order: Order, fact: SettledByOperator) -> Verdict:
    draft = Draft(order)
    if fact.filled_quantity is not None and fact.filled_quantity != order.filled_quantity:
        refusal = _book(draft, fact)
        if refusal is not None:
            return refusal
    to_state: OrderState | None = draft.order.state
    if draft.order.is_open or to_state is not fact.state:
        move = _ENDS.get(fact.state) if fact.state is not None else None
        to_state = None if move is None else draft.move(move)
    if to_state is None or (to_state is OrderState.FILLED and draft.order.is_short):
        return impossible(draft.order, f"settling as {fact.state}")
    _resolve(draft, fact, to_state)
    return draft.verdict()


def _book(draft: Draft, fact: SettledByOperator) -> Impossible | None:
    """Book the growth that the operator read off the broker: inferred, so that real executions still replace it."""
    order = draft.order
    if fact.filled_quantity is not None and fact.filled_quantity < order.filled_quantity:
        return impossible(order, f"an end at {fact.filled_quantity}, below the {order.filled_quantity} booked,")
    link = order.links[-1] if len(order.links) == 1 else None
    if link is None or link.bust_times or fact.filled_quantity is None or fact.average_price is None:
        return impossible(order, "booking by an operator: it needs one broker order and an average price")
    link = msgspec.structs.replace(link, reported_quantity=fact.filled_quantity, reported_average=fact.average_price)
    for fill in infer(order, link, fact.at, fact.source, None):
        to_state = state_after_fill(draft, link, add(draft.order.filled_quantity, fill.quantity))
        draft.add(
            Filled(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, fill=fill, to_state=to_state)
        )
    return None


def _resolve(draft: Draft, fact: SettledByOperator, to_state: OrderState) -> None:
    reason = Reason(
        code=fact.verdict,
        message=fact.message,
        origin=EventSource.OPERATOR,
        evidence=fact.evidence,
        operator_name=fact.operator_name,
    )
    draft.add(Resolved(at=fact.at, source=fact.source, reason=reason, to_state=to_state))
