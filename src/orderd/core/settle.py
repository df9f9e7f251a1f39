"""From the broker's word to the order's state: queued, working or ended is the broker's to say, and fills come first.

Rule 1: a broker's "filled" or "canceled" waits (its word is kept on the link) until the executions behind its
cumulative quantity are booked; the engine is asked to fetch them.
Rule 2: only the current id of a replace chain can end the logical order.
"""

from decimal import Decimal

import msgspec

from orderd.core.book import booked_quantity, total
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.events import Accepted, Canceled, CancelRefused, CancelRequested, Expired, Rejected, Restated
from orderd.core.facts import Executed, Reported
from orderd.core.order import (
    OPEN,
    OURS,
    BrokerLink,
    EventSource,
    Order,
    OrderClass,
    OrderState,
    OrderType,
    Phase,
    Terms,
)
from orderd.core.table import Move, next_state
from orderd.core.values import Reason
from orderd.core.verdicts import Draft, NeedKind

BUSTED = "BUSTED"
REVIVED = "REVIVED"
ENDS = frozenset({Phase.FILLED, Phase.CANCELED, Phase.EXPIRED, Phase.REJECTED, Phase.REPLACED})
LIVE = frozenset({Phase.QUEUED, Phase.WORKING})
_WORKING = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})
_BY_FILL = {
    state: (part, rest)
    for state in OPEN
    if (part := next_state(state, Move.FILL_PART)) and (rest := next_state(state, Move.FILL_REST))
}
"""Two columns of the table, side by side: where a fill leads from here, of a part and of the rest."""
Word = Reported | Executed


def state_after_fill(draft: Draft, link: BrokerLink, filled: Decimal) -> OrderState:
    """Where a fill that makes the cumulative quantity `filled` leads."""
    order = draft.order
    wanted = order.terms.quantity
    if wanted is not None:
        is_complete = filled >= wanted
    else:
        is_complete = link.phase is Phase.FILLED and filled >= link.reported_quantity
    by_fill = _BY_FILL.get(order.state)
    if by_fill is not None:
        return by_fill[is_complete]
    if order.state in {OrderState.CANCELED, OrderState.EXPIRED} and (is_complete or order.closed_by not in OURS):
        return (draft.move(Move.LATE_FILL) if is_complete else None) or order.state
    if order.state in {OrderState.FILLED, OrderState.REPLACED, OrderState.DENIED}:
        return order.state
    return draft.move(Move.FILL_REST if is_complete else Move.REVIVE_PART) or order.state


def missing(order: Order, link: BrokerLink) -> bool:
    """Whether the broker's cumulative figure says more than the booked executions.

    Whether a successor's figure starts at zero or at its predecessors' total is not documented. A figure that is the
    chain's total is believed while the order lives; an end is believed once executions were asked for.
    """
    if link.reported_quantity <= booked_quantity(order, link):
        return False
    return link.phase in ENDS or not fits_chain(order, link)


def fits_chain(order: Order, link: BrokerLink) -> bool:
    """Whether the figure of a link can be the total of it and its elders, whose executions are all booked."""
    chain = [each.broker_order_id for each in order.links]
    if len(chain) == 1:
        return False
    elders = chain[: chain.index(link.broker_order_id) + 1]
    return link.reported_quantity == total(
        f.quantity for f in order.fills if f.is_counted and f.broker_order_id in elders
    )


def settle(draft: Draft, link: BrokerLink, fact: Word, *, is_fresh: bool) -> None:
    """Let the broker's word move the state, as far as the booked executions allow."""
    is_current = link.broker_order_id == draft.order.links[-1].broker_order_id
    says = fact if is_fresh and is_current and isinstance(fact, Reported) else None
    if says is not None and says.view.terms != draft.order.terms:
        _restate_terms(draft, link, says)
    is_missing = missing(draft.order, link)
    if is_missing and not (isinstance(fact, Reported) and fact.may_infer):
        draft.need(NeedKind.EXECUTIONS, link.broker_order_id)
    elif is_missing and link.reported_average is None and len(draft.order.links) == 1 and not link.bust_times:
        _price_missing(draft, link, fact)
    elif is_current and link.phase not in LIVE:
        _by_phase(draft, link, fact)
    elif is_current and (is_fresh or draft.order.is_undone) and draft.order.state not in _WORKING:
        _live(draft, link, fact)
    if says is not None and (link.phase not in LIVE or draft.order.pending_cancel) and draft.order.is_open:
        _flags(draft, link, says)
    if draft.order.links[-1] is not link:
        _keep_word(draft, link, fact)


def _price_missing(draft: Draft, link: BrokerLink, fact: Word) -> None:
    """Nothing can be inferred without a price. A view that counts less by now tells of a bust that nobody heard."""
    if not isinstance(fact, Reported) or fact.view.filled_quantity >= link.reported_quantity:
        draft.find(DiscrepancyKind.PRICE_MISSING, link.reported_quantity, draft.order.filled_quantity)


def _by_phase(draft: Draft, link: BrokerLink, fact: Word) -> None:
    """Move by the phase the link remembers: it may be older than this fact when executions had to be fetched."""
    match link.phase:
        case Phase.FILLED:
            _filled(draft, link, fact)
        case Phase.CANCELED | Phase.EXPIRED | Phase.REJECTED:
            _ended(draft, link, fact)
        case Phase.REPLACED:
            _replaced(draft, link, fact)
        case _:
            pass  # flags beside the state, or a word that says nothing about it


def _live(draft: Draft, link: BrokerLink, fact: Word) -> None:
    """The broker has it, and we do not have it as working."""
    order = draft.order
    if order.is_open:
        if link.phase is Phase.WORKING:
            broker_time = fact.broker_time if isinstance(fact, Reported) else None
            at, source, heard = fact.at, fact.source, fact.heard_ns
            draft.add(Accepted(at=at, source=source, heard_ns=heard, broker_time=broker_time, link=link))
    elif order.is_undone:
        _restate(draft, link, fact, Move.BUST_PART if order.filled_quantity else Move.BUST_WORKING, BUSTED)
    elif order.state is OrderState.FILLED:
        pass  # its fills say so: a broker goes on to "calculated" after "filled"
    elif order.closed_by in OURS or order.state is OrderState.REJECTED:
        draft.find(DiscrepancyKind.REVIVED, order.state, link.status)
        _restate(draft, link, fact, revival(order, link.phase), REVIVED)
    else:
        draft.find(DiscrepancyKind.ENDED_BUT_LIVE, order.state, link.status)


def revival(order: Order, phase: Phase) -> Move:
    """The move that brings an order back which we had ended."""
    if order.filled_quantity:
        return Move.REVIVE_PART
    return Move.REVIVE_WORKING if phase is Phase.WORKING else Move.REVIVE_QUEUED


def wants_cancel(order: Order) -> bool | None:
    """Whether an order that comes back is to be canceled: its cancel was asked for, and answered without the broker."""
    is_ours = order.state is OrderState.CANCELED and order.closed_by in {EventSource.CLIENT, EventSource.ENGINE}
    return True if is_ours else None


def _restate(draft: Draft, link: BrokerLink, fact: Word, move: Move, code: str) -> None:
    draft.add(
        Restated(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=link,
            to_state=draft.move(move) or draft.order.state,
            pending_cancel=wants_cancel(draft.order),
            reason=Reason(code=code, message=link.status, origin=fact.source),
        )
    )


def _filled(draft: Draft, link: BrokerLink, fact: Word) -> None:
    """The broker's "filled" after its executions: notional orders end here, busted ones end short."""
    order = draft.order
    is_taken_back = order.is_busted or bool(order.pending_busts)
    if order.is_undone or (order.is_open and is_taken_back and order.is_short):
        if order.is_short:
            _cancel_busted(draft, link, fact)
    elif order.is_open and order.is_short:
        # Of a replaced spread the legs tell whether its elders' part is in this figure: they may not be booked yet.
        is_told_by_legs = order.is_parent_of_legs and len(order.links) > 1
        if isinstance(fact, Reported) and not is_told_by_legs:
            draft.find(DiscrepancyKind.FILLED_SHORT, order.terms.quantity or "any quantity", order.filled_quantity)
    elif order.is_open:
        to_state = draft.move(Move.FILL_REST) or order.state
        draft.add(Restated(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, to_state=to_state))


def _cancel_busted(draft: Draft, link: BrokerLink, fact: Word) -> None:
    reason = Reason(code=BUSTED, message=link.status, origin=fact.source)
    draft.add(Canceled(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, reason=reason))


def _ended(draft: Draft, link: BrokerLink, fact: Word) -> None:
    order = draft.order
    if order.is_undone:
        _cancel_busted(draft, link, fact)
    if not order.is_open:
        return
    reason = _end_reason(link, fact)
    at, source, heard = fact.at, fact.source, fact.heard_ns
    ended = (fact.view.ended_time or fact.broker_time) if isinstance(fact, Reported) else None
    if link.phase is Phase.EXPIRED and order.state is not OrderState.CREATED:
        draft.add(Expired(at=at, source=source, heard_ns=heard, broker_time=ended, link=link, reason=reason))
    elif link.phase is Phase.REJECTED and not order.filled_quantity:
        draft.add(Rejected(at=at, source=source, heard_ns=heard, broker_time=ended, link=link, reason=reason))
    else:
        draft.add(Canceled(at=at, source=source, heard_ns=heard, broker_time=ended, link=link, reason=reason))


def _end_reason(link: BrokerLink, fact: Word) -> Reason | None:
    code = fact.view.reason_code if isinstance(fact, Reported) else ""
    text = fact.view.reason_text if isinstance(fact, Reported) else ""
    if link.phase is Phase.CANCELED and not code and not text:
        return None
    return Reason(code=code or link.status.upper(), message=text, origin=fact.source)


def _replaced(draft: Draft, link: BrokerLink, fact: Word) -> None:
    """The current id was superseded: by our replace, a person or the venue. Only the successor tells which: read it."""
    if draft.order.is_open:
        view = fact.view if isinstance(fact, Reported) and fact.view.broker_order_id == link.broker_order_id else None
        draft.need(NeedKind.ORDER, (view.replaced_by if view else "") or link.broker_order_id)


def _flags(draft: Draft, link: BrokerLink, fact: Reported) -> None:
    """What a living order's broker says beside its state."""
    order, view = draft.order, fact.view
    at, source, heard = fact.at, fact.source, fact.heard_ns
    if view.phase is Phase.UNKNOWN and view.asked_ns is None:
        draft.need(NeedKind.ORDER, view.broker_order_id)
    elif view.phase is Phase.PENDING_CANCEL and not order.pending_cancel:
        reason = Reason(code="CANCEL_AT_BROKER", message=view.status, origin=source)
        draft.add(CancelRequested(at=at, source=source, heard_ns=heard, link=link, reason=reason))
    elif view.phase in LIVE and fact.execution is None and _is_foreign_cancel(order):
        reason = Reason(code="CANCEL_WITHDRAWN", message=view.status, origin=source)
        draft.add(CancelRefused(at=at, source=source, heard_ns=heard, link=link, reason=reason))


def _is_foreign_cancel(order: Order) -> bool:
    """A cancel that we sent is followed to its proof; one from elsewhere is over when the broker works on."""
    return order.pending_cancel and order.cancel_asked_by not in OURS


def _restate_terms(draft: Draft, link: BrokerLink, fact: Reported) -> None:
    """Put the broker's terms in force where they differ and no replace of ours explains that.

    Another quantity can end the order. A message that tells one (unasked) has the order read first.
    """
    order, theirs = draft.order, fact.view.terms
    if theirs is None or not order.is_open or order.pending_replace is not None:
        return
    if fact.view.asked_ns is None and _is_resized(order, theirs):
        draft.need(NeedKind.ORDER, link.broker_order_id)
        theirs = msgspec.structs.replace(theirs, quantity=order.terms.quantity)
    terms = differing_terms(order.terms, theirs)
    if terms is None or fact.view.phase is Phase.REPLACED:
        return
    is_complete = bool(order.filled_quantity) and terms.quantity is not None and order.filled_quantity >= terms.quantity
    draft.add(
        Restated(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=link,
            to_state=(draft.move(Move.FILL_REST) if is_complete else None) or order.state,
            terms=terms,
            reason=Reason(code="TERMS_RESTATED", message="the broker's terms differ", origin=fact.source),
        )
    )


def _is_resized(order: Order, theirs: Terms) -> bool:
    """Whether these terms change what was asked for. (An exit follows what its sibling and its entry trade.)"""
    is_exit = order.parent_order_id is not None and order.intent.order_class is not OrderClass.MULTILEG
    return order.terms.notional is None and theirs.quantity != order.terms.quantity and not is_exit


def differing_terms(ours: Terms, theirs: Terms) -> Terms | None:
    """The broker's terms when they differ from ours in anything we asked for; None when they agree.

    A trailing stop's stop price is the broker's moving figure, not a term; a notional order's quantity is an outcome;
    a price that the broker does not print is not a change while the type is the same.
    """
    is_same_type = theirs.type is ours.type
    merged = msgspec.structs.replace(
        theirs,
        quantity=theirs.quantity if ours.notional is None and theirs.quantity is not None else ours.quantity,
        notional=ours.notional,
        limit_price=ours.limit_price if theirs.limit_price is None and is_same_type else theirs.limit_price,
        stop_price=ours.stop_price
        if ours.type is OrderType.TRAILING_STOP or (theirs.stop_price is None and is_same_type)
        else theirs.stop_price,
        trail_price=ours.trail_price if theirs.trail_price is None and is_same_type else theirs.trail_price,
        trail_percent=ours.trail_percent if theirs.trail_percent is None and is_same_type else theirs.trail_percent,
    )
    return None if merged == ours else merged


def _keep_word(draft: Draft, link: BrokerLink, fact: Word) -> None:
    """Keep the broker's own word durable: in the last event of this judgement, or, when it changed, in one of its own.

    A later time alone is no news: it is not worth an event.
    """
    stored = draft.order.link(link.broker_order_id)
    if stored is link or stored == link or draft.carry(link):
        return
    if stored is None or _word(stored) != _word(link):
        draft.add(
            Restated(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, to_state=draft.order.state)
        )


def _word(link: BrokerLink) -> tuple[str, Phase, Decimal]:
    return link.status, link.phase, link.reported_quantity
