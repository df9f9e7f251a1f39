"""From the broker's word to the order's state: queued, working or ended is the broker's to say, and fills come first.

Rule 1: a broker's "filled" or "canceled" waits (its word is kept on the link) until the executions behind its
cumulative quantity are booked; the engine is asked to fetch them.
Rule 2: only the current id of a replace chain can end the logical order.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from orderd.core.book import booked_quantity
from orderd.core.events import Accepted, Canceled, Expired, Rejected, Replaced, Restated
from orderd.core.facts import Executed, Reported
from orderd.core.order import BrokerLink, EventSource, Order, OrderState, OrderType, Phase, Terms
from orderd.core.table import Move
from orderd.core.values import BrokerOrderId, Reason
from orderd.core.verdicts import Draft, NeedKind

OURS = frozenset({EventSource.CLIENT, EventSource.ENGINE, EventSource.OPERATOR, EventSource.RISK})
"""Whose ends are a conclusion, not the broker's word: a live report revives them."""

BUSTED = "BUSTED"
Word = Reported | Executed


def state_after_fill(draft: Draft, link: BrokerLink, total: Decimal) -> OrderState:
    """Where a fill that makes the cumulative quantity `total` leads."""
    order = draft.order
    wanted = order.terms.quantity
    if wanted is not None:
        is_complete = total >= wanted
    else:
        is_complete = link.phase is Phase.FILLED and total >= link.reported_quantity
    if order.state in {OrderState.CANCELED, OrderState.EXPIRED}:
        if is_complete:
            return draft.move(Move.LATE_FILL) or order.state
        if order.closed_by not in OURS:
            return order.state
        return draft.move(Move.REVIVE_PART) or order.state
    if is_complete:
        return draft.move(Move.FILL_REST) or order.state
    return draft.move(Move.FILL_PART) or draft.move(Move.REVIVE_PART) or order.state


def missing(order: Order, link: BrokerLink) -> bool:
    """Whether the broker's cumulative figure says more than the booked executions.

    Whether a successor's figure starts at zero or at its predecessors' total is not documented, so either counts.
    """
    if order.is_parent_of_legs:
        return link.reported_quantity > order.filled_quantity
    booked = booked_quantity(order, link)
    if link.reported_quantity <= booked:
        return False
    return len(order.links) == 1 or link.reported_quantity > order.filled_quantity


def settle(draft: Draft, link: BrokerLink, fact: Word, *, is_fresh: bool) -> None:
    """Let the broker's word move the state, as far as the booked executions allow."""
    is_current = link.broker_order_id == draft.order.links[-1].broker_order_id
    is_missing = missing(draft.order, link)
    may_wait = not (isinstance(fact, Reported) and fact.may_infer)
    if is_missing and may_wait:
        draft.need(NeedKind.EXECUTIONS, link.broker_order_id)
    elif is_current:
        _by_phase(draft, link, fact, is_fresh=is_fresh)
    if isinstance(fact, Reported) and is_fresh and is_current:
        _while_working(draft, link, fact)
    _keep_word(draft, link, fact)


def _by_phase(draft: Draft, link: BrokerLink, fact: Word, *, is_fresh: bool) -> None:
    """Move by the phase the link remembers: it may be older than this fact when executions had to be fetched."""
    match link.phase:
        case Phase.FILLED:
            _filled(draft, link, fact)
        case Phase.CANCELED | Phase.EXPIRED | Phase.REJECTED:
            _ended(draft, link, fact)
        case Phase.REPLACED:
            if isinstance(fact, Reported) and is_fresh:
                _replaced(draft, fact)
        case Phase.QUEUED | Phase.WORKING:
            if is_fresh:
                _live(draft, link, fact)
        case Phase.PENDING_CANCEL | Phase.PENDING_REPLACE | Phase.UNKNOWN:
            pass


def _live(draft: Draft, link: BrokerLink, fact: Word) -> None:
    order = draft.order
    if order.is_open:
        if link.phase is Phase.WORKING and not order.filled_quantity and order.state is not OrderState.ACCEPTED:
            to_state = draft.move(Move.ACCEPT)
            if to_state is not None:
                draft.add(
                    Accepted(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, broker_time=_time(fact), link=link)
                )
        return
    if order.is_busted and order.state is OrderState.FILLED:
        move = Move.BUST_PART if order.filled_quantity else Move.BUST_WORKING
        _restate(draft, link, fact, draft.move(move), BUSTED)
    elif order.closed_by in OURS or order.state in {OrderState.SUBMIT_FAILED, OrderState.REJECTED}:
        was = order.state
        if link.phase is Phase.QUEUED:
            to_state = draft.move(Move.REVIVE_QUEUED)
        else:
            to_state = draft.move(Move.REVIVE_PART if order.filled_quantity else Move.REVIVE_WORKING)
        draft.find("REVIVED", was, link.status)
        _restate(draft, link, fact, to_state, "REVIVED")
    else:
        draft.find("ENDED_BUT_LIVE", order.state, link.status)


def _restate(draft: Draft, link: BrokerLink, fact: Word, to_state: OrderState | None, code: str) -> None:
    if to_state is None:
        return
    reason = Reason(code=code, message=link.status, origin=fact.source)
    draft.add(
        Restated(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, to_state=to_state, reason=reason)
    )


def _filled(draft: Draft, link: BrokerLink, fact: Word) -> None:
    """The broker's "filled" after its executions: notional orders end here, busted ones end short."""
    order = draft.order
    wanted = order.terms.quantity
    if wanted is not None and order.filled_quantity < wanted:
        if order.is_busted and order.state is OrderState.FILLED:
            reason = Reason(code=BUSTED, message=link.status, origin=fact.source)
            draft.add(Canceled(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, reason=reason))
        elif order.is_open and isinstance(fact, Reported):
            draft.find("FILLED_SHORT", wanted, order.filled_quantity)
        return
    to_state = draft.move(Move.FILL_REST)
    if order.is_open and order.filled_quantity and to_state is not None:
        draft.add(Restated(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, to_state=to_state))


def _ended(draft: Draft, link: BrokerLink, fact: Word) -> None:
    order = draft.order
    reason = _end_reason(link, fact)
    at, source, heard = fact.at, fact.source, fact.heard_ns
    if order.is_busted and order.state is OrderState.FILLED:
        busted = Reason(code=BUSTED, message=link.status, origin=source)
        draft.add(Canceled(at=at, source=source, heard_ns=heard, link=link, reason=busted))
    elif not order.is_open:
        return
    elif link.phase is Phase.EXPIRED:
        draft.add(
            Expired(at=at, source=source, heard_ns=heard, broker_time=_ended_time(fact), link=link, reason=reason)
        )
    elif link.phase is Phase.REJECTED and not order.filled_quantity:
        draft.add(
            Rejected(at=at, source=source, heard_ns=heard, broker_time=_ended_time(fact), link=link, reason=reason)
        )
    else:
        draft.add(
            Canceled(at=at, source=source, heard_ns=heard, broker_time=_ended_time(fact), link=link, reason=reason)
        )


def _end_reason(link: BrokerLink, fact: Word) -> Reason | None:
    code = fact.view.reason_code if isinstance(fact, Reported) else ""
    text = fact.view.reason_text if isinstance(fact, Reported) else ""
    if link.phase is Phase.CANCELED and not code and not text:
        return None
    return Reason(code=code or link.status.upper(), message=text, origin=fact.source)


def _ended_time(fact: Word) -> datetime | None:
    """The broker's time of the end, when it says one."""
    return fact.view.ended_time or fact.broker_time if isinstance(fact, Reported) else None


def _time(fact: Word) -> datetime | None:
    return fact.broker_time if isinstance(fact, Reported) else None


def _replaced(draft: Draft, fact: Reported) -> None:
    """The current id was superseded: by our replace, or by a person or the venue (then the successor is read)."""
    order, view = draft.order, fact.view
    pending = order.pending_replace
    if not view.replaced_by:
        draft.need(NeedKind.ORDER, view.broker_order_id)
    elif pending is None or not order.is_open:
        draft.need(NeedKind.ORDER, view.replaced_by)
    else:
        successor = BrokerLink(broker_order_id=BrokerOrderId(view.replaced_by), client_order_id=pending.client_order_id)
        replaced(draft, fact, successor, pending.terms)


def replaced(draft: Draft, fact: Reported, successor: BrokerLink, terms: Terms) -> None:
    """Bind the successor and put the terms in force."""
    order = draft.order
    to_state = order.state
    if terms.quantity is not None and order.filled_quantity >= terms.quantity:
        to_state = draft.move(Move.FILL_REST) or order.state
    draft.add(
        Replaced(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=fact.broker_time,
            link=successor,
            terms=terms,
            to_state=to_state,
        )
    )


def _while_working(draft: Draft, link: BrokerLink, fact: Reported) -> None:
    """Flags and terms of a living order."""
    order, view = draft.order, fact.view
    if not order.is_open:
        return
    if view.phase is Phase.UNKNOWN and view.asked_ns is None:
        draft.need(NeedKind.ORDER, view.broker_order_id)
    if view.phase is Phase.PENDING_CANCEL and not order.pending_cancel:
        _flag(draft, link, fact, pending_cancel=True)
    if view.phase in {Phase.QUEUED, Phase.WORKING} and view.terms is not None and order.pending_replace is None:
        terms = differing_terms(order.terms, view.terms)
        if terms is not None:
            reason = Reason(code="TERMS_RESTATED", message="the broker's terms differ", origin=fact.source)
            draft.add(
                Restated(
                    at=fact.at,
                    source=fact.source,
                    heard_ns=fact.heard_ns,
                    link=link,
                    to_state=order.state,
                    terms=terms,
                    reason=reason,
                )
            )


def _flag(draft: Draft, link: BrokerLink, fact: Reported, *, pending_cancel: bool) -> None:
    draft.add(
        Restated(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=link,
            to_state=draft.order.state,
            pending_cancel=pending_cancel,
        )
    )


def differing_terms(ours: Terms, theirs: Terms) -> Terms | None:
    """The broker's terms when they differ from ours in anything we asked for; None when they agree.

    A trailing stop's stop price is the broker's moving figure, not a term; a notional order's quantity is an outcome.
    """
    stop = ours.stop_price if ours.type is OrderType.TRAILING_STOP else theirs.stop_price
    quantity = theirs.quantity if ours.notional is None else ours.quantity
    merged = msgspec.structs.replace(
        theirs,
        stop_price=stop,
        quantity=quantity if quantity is not None else ours.quantity,
        notional=ours.notional,
    )
    return None if merged == ours else merged


def _keep_word(draft: Draft, link: BrokerLink, fact: Word) -> None:
    """Keep the broker's own word durable when no other event of this judgement carries it."""
    stored = draft.order.link(link.broker_order_id)
    if stored is None or (stored.status, stored.phase, stored.reported_quantity) == (
        link.status,
        link.phase,
        link.reported_quantity,
    ):
        return
    draft.add(Restated(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, to_state=draft.order.state))
