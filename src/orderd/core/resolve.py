"""What an operator settles when evidence could not.

Rule: an operator may end an order or prove it absent, and still cannot contradict what is booked.
"""

import msgspec

from orderd.core.book import infer
from orderd.core.events import Filled, Resolved
from orderd.core.facts import SettledByOperator, Verdicts
from orderd.core.order import EventSource, Order, OrderState
from orderd.core.settle import state_after_fill
from orderd.core.table import Move
from orderd.core.values import Reason, add
from orderd.core.verdicts import Draft, Impossible, Verdict, impossible

_ENDS = {
    OrderState.CANCELED: Move.CANCEL,
    OrderState.EXPIRED: Move.EXPIRE,
    OrderState.REJECTED: Move.REJECT,
    OrderState.FILLED: Move.FILL_REST,
}


def judge_settlement(order: Order, fact: SettledByOperator) -> Verdict:
    """Judge an operator's word about an order that has not ended."""
    if not order.is_open:
        return impossible(order, "settling")
    match fact.verdict:
        case Verdicts.NOT_PLACED:
            return _unplaced(order, fact, OrderState.SUBMIT_FAILED)
        case Verdicts.RESEND:
            return _unplaced(order, fact, order.state)
        case Verdicts.ENDED:  # pragma: no branch - the last of its kind
            return _ended(order, fact)


def _unplaced(order: Order, fact: SettledByOperator, to_state: OrderState) -> Verdict:
    """It is not at the broker: given up, or to be sent again (which `Sending` then records)."""
    if order.links:
        return impossible(order, f"settling as {fact.verdict}")
    draft = Draft(order)
    draft.add(Resolved(at=fact.at, source=fact.source, reason=_reason(fact), to_state=to_state))
    return draft.verdict()


def _ended(order: Order, fact: SettledByOperator) -> Verdict:
    draft = Draft(order)
    if fact.filled_quantity is not None and fact.filled_quantity > order.filled_quantity:
        refusal = _book(draft, fact)
        if refusal is not None:
            return refusal
    if draft.order.is_open or draft.order.state is not fact.state:
        move = _ENDS.get(fact.state) if fact.state is not None else None
        to_state = None if move is None else draft.move(move)
        if to_state is None or (to_state is OrderState.FILLED and draft.order.is_short):
            return impossible(draft.order, f"settling as {fact.state}")
        draft.add(Resolved(at=fact.at, source=fact.source, reason=_reason(fact), to_state=to_state))
    return draft.verdict()


def _book(draft: Draft, fact: SettledByOperator) -> Impossible | None:
    """Book the growth that the operator read off the broker: inferred, so that real executions still replace it."""
    order = draft.order
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


def _reason(fact: SettledByOperator) -> Reason:
    return Reason(code=fact.verdict, message=fact.message, origin=EventSource.OPERATOR)
