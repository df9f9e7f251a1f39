"""Binding a broker's order to ours: the first acknowledgement, and every successor of a replace chain.

Rule 1: nothing is adopted that differs in symbol, side, quantity, notional, asset or client id. Differences of type and
price are restated; anything else is never ours, whatever id it carries.
Rule 2: a successor is bound on proof: its own (it works, it traded, it ended), or its elder's word (`replaced`).
"""

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.events import Acknowledged, OutcomeUnknown, Replaced, ReplaceRefused, Restated
from orderd.core.facts import Reported, View
from orderd.core.order import OURS, BrokerLink, Order, OrderClass, OrderState, Phase, Terms
from orderd.core.settle import REVIVED, differing_terms, revival, wants_cancel
from orderd.core.table import Move
from orderd.core.values import Reason
from orderd.core.verdicts import Draft, Impossible, NeedKind, Verdict

_UNPROVEN = frozenset({Phase.QUEUED, Phase.PENDING_REPLACE, Phase.UNKNOWN})
_SAME_END = {
    Phase.CANCELED: OrderState.CANCELED,
    Phase.EXPIRED: OrderState.EXPIRED,
    Phase.REJECTED: OrderState.REJECTED,
}


def bind(draft: Draft, fact: Reported) -> BrokerLink | Verdict:
    """Bind `fact.view` to the drafted order's chain: the new link, or the verdict when it is not bound (yet)."""
    refusal = _bind_successor(draft, fact) if draft.order.links else _bind_first(draft, fact)
    return draft.order.links[-1] if refusal is None else refusal


def mismatch(order: Order, view: View) -> tuple[str, str, str] | None:
    """(field, ours, theirs) of the first thing that makes it another order; None when it is ours."""
    intent, terms = order.intent, view.terms
    pairs: list[tuple[str, object, object]] = []
    if not order.is_parent_of_legs:
        pairs += [("symbol", intent.symbol, view.symbol or None), ("side", intent.side, view.side)]
        pairs.append(("asset_class", order.asset_class, view.asset_class))
    # The broker shrinks an exit while its sibling fills: what it stands at now is restated.
    is_exit = order.parent_order_id is not None and order.intent.order_class is not OrderClass.MULTILEG
    if terms is not None and not is_exit:
        pairs.append(("quantity", order.terms.quantity, terms.quantity if order.terms.notional is None else None))
        pairs.append(("notional", order.terms.notional, terms.notional))
    if order.parent_order_id is None and not order.is_external:
        pairs.append(("client_order_id", intent.client_order_id, view.client_order_id or None))
    for field, ours, theirs in pairs:
        if theirs is not None and ours is not None and ours != theirs:
            return field, str(ours), str(theirs)
    return None


def _link_of(order: Order, view: View) -> BrokerLink:
    """A new link that has heard nothing yet: the report that follows fills it in.

    What was taken back before it was known: the broker has counted anew since, and may list none of it.
    """
    return BrokerLink(
        broker_order_id=view.broker_order_id,
        client_order_id=view.client_order_id,
        status=view.status,
        bust_times=tuple(sorted({waiting.broker_time for waiting in order.pending_busts})),
    )


def _bind_first(draft: Draft, fact: Reported) -> Verdict | None:
    order, view = draft.order, fact.view
    if view.replaces:
        # A leg that somebody replaced before we heard of it: the chain begins with its elder, which may have traded.
        draft.need(NeedKind.ORDER, view.replaces)
        return draft.verdict(is_stale=True)
    difference = mismatch(order, view)
    if difference is not None or order.state in {OrderState.DENIED, OrderState.REPLACED}:
        field, ours, theirs = difference or ("state", order.state, view.status)
        draft.find(DiscrepancyKind.ADOPTION_MISMATCH, f"{field} {ours}", f"{field} {theirs} of {view.broker_order_id}")
        return Impossible(
            explanation=f"broker order {view.broker_order_id} is not this one: {field} is {theirs}, not {ours}",
            findings=draft.findings,
        )
    at, source, heard = fact.at, fact.source, fact.heard_ns
    if order.state is OrderState.CREATED:
        reason = Reason(code="FOUND_ALIVE", message="never sent by this record, yet at the broker", origin=source)
        draft.add(OutcomeUnknown(at=at, source=source, heard_ns=heard, reason=reason))
    if order.is_open:
        draft.add(
            Acknowledged(
                at=at,
                source=source,
                heard_ns=heard,
                broker_time=view.submitted_time,
                link=_link_of(order, view),
                expires_time=view.expires_time,
            )
        )
    else:
        _bind_ended(draft, fact)
    return None


def _bind_ended(draft: Draft, fact: Reported) -> None:
    """An end that was ours, or a refusal, gives way to a broker that has the order, unless both say the same end."""
    order, view = draft.order, fact.view
    to_state, reason, cancel = order.state, None, None
    gives_way = order.closed_by in OURS or order.state is OrderState.REJECTED
    if gives_way and _SAME_END.get(view.phase) is not order.state:
        draft.find(DiscrepancyKind.REVIVED, order.state, view.status)
        to_state = draft.move(revival(order, view.phase)) or order.state
        reason = Reason(code=REVIVED, message=view.status, origin=fact.source)
        cancel = wants_cancel(order)
    draft.add(
        Restated(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=_link_of(order, view),
            to_state=to_state,
            pending_cancel=cancel,
            reason=reason,
        )
    )


def _bind_successor(draft: Draft, fact: Reported) -> Verdict | None:
    order, view = draft.order, fact.view
    current, pending = order.links[-1], order.pending_replace
    is_asked = pending is not None and view.client_order_id == pending.client_order_id
    if not is_asked and order.link(view.replaces) is None:
        if view.replaces and not _has_name_of(order, view):
            # It follows a successor that is not proven yet: that one first.
            draft.need(NeedKind.ORDER, view.replaces)
            return draft.verdict(is_stale=True)
        draft.find(DiscrepancyKind.SECOND_BROKER_ORDER, current.broker_order_id, view.broker_order_id)
        return Impossible(
            explanation=f"broker order {view.broker_order_id} follows none of this order's chain",
            findings=draft.findings,
        )
    if view.phase is Phase.REJECTED and current.phase is not Phase.REPLACED:
        if is_asked:
            reason = Reason(code=view.reason_code or "REJECTED", message=view.reason_text, origin=fact.source)
            draft.add(ReplaceRefused(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, reason=reason))
        draft.need(NeedKind.ORDER, current.broker_order_id)
        return draft.verdict(is_stale=True)
    if fact.execution is None and view.phase in _UNPROVEN and current.phase is not Phase.REPLACED:
        # A 200 is not yet success: the old order may fill first. Its own word decides.
        draft.need(NeedKind.ORDER, current.broker_order_id)
        return draft.verdict(is_stale=True)
    is_ours = pending is not None and (is_asked or not view.client_order_id)
    if view.asked_ns is None and not is_ours:
        # Somebody else's successor has terms of its own. A message that tells them has it read first.
        draft.need(NeedKind.ORDER, view.broker_order_id)
        return draft.verdict(is_stale=True)
    if pending is not None and is_ours:
        _succeed(draft, fact, pending.terms)
    else:
        _restate_successor(draft, fact)
    return None


def _has_name_of(order: Order, view: View) -> bool:
    """Whether it carries a client id that this order goes by already."""
    return view.client_order_id in {order.intent.client_order_id, *(link.client_order_id for link in order.links)} - {
        ""
    }


def _succeed(draft: Draft, fact: Reported, terms: Terms) -> None:
    """Our replace is proven: the successor is bound and the asked terms are in force."""
    order = draft.order
    is_complete = terms.quantity is not None and order.filled_quantity >= terms.quantity
    draft.add(
        Replaced(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=fact.broker_time,
            link=_link_of(order, fact.view),
            terms=terms,
            to_state=(draft.move(Move.FILL_REST) if is_complete else None) or order.state,
        )
    )


def _restate_successor(draft: Draft, fact: Reported) -> None:
    """A person or the venue replaced it: the successor is bound with the terms it has."""
    order, view = draft.order, fact.view
    terms = differing_terms(order.terms, view.terms) if view.terms is not None else None
    to_state = order.state
    if not order.is_open and order.closed_by in OURS:
        draft.find(DiscrepancyKind.REVIVED, order.state, view.status)
        to_state = draft.move(revival(order, view.phase)) or order.state
    elif order.state is OrderState.REPLACED or _is_outgrown(order, terms):
        to_state = draft.move(revival(order, view.phase)) or order.state
    elder = order.links[-1].broker_order_id
    draft.add(
        Restated(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=_link_of(order, view),
            to_state=to_state,
            terms=terms,
            pending_cancel=wants_cancel(order),
            reason=Reason(
                code="REPLACED_AT_BROKER", message=f"{elder} became {view.broker_order_id}", origin=fact.source
            ),
        )
    )


def _is_outgrown(order: Order, terms: Terms | None) -> bool:
    """Filled as far as we knew, while the broker had more to do already: its elder's last fills came first."""
    wanted = None if terms is None else terms.quantity
    return order.state is OrderState.FILLED and wanted is not None and wanted > order.filled_quantity
