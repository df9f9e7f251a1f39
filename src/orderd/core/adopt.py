"""Binding a broker's order to ours: the first acknowledgement, and every successor of a replace chain.

Rule: nothing is adopted that differs in symbol, side, quantity, notional, asset or client id. Differences of type and
price are restated; anything else is never ours, whatever id it carries.
"""

from orderd.core.events import Acknowledged, OutcomeUnknown, ReplaceRefused, Restated
from orderd.core.facts import Reported, View
from orderd.core.order import BrokerLink, EventSource, Order, OrderState, Phase
from orderd.core.settle import OURS, differing_terms, replaced
from orderd.core.table import Move
from orderd.core.values import Reason
from orderd.core.verdicts import Draft, Impossible, NeedKind, Verdict

MISMATCH = "ADOPTION_MISMATCH"


def bind(draft: Draft, fact: Reported) -> Verdict | None:
    """Bind `fact.view` to the drafted order's chain; a verdict when that is refused, None when it went on."""
    if draft.order.links:
        return _bind_successor(draft, fact)
    return _bind_first(draft, fact)


def mismatch(order: Order, view: View) -> tuple[str, str, str] | None:
    """(field, ours, theirs) of the first thing that makes it another order; None when it is ours."""
    intent, terms = order.intent, view.terms
    pairs: list[tuple[str, object, object]] = []
    if not order.is_parent_of_legs:
        pairs += [("symbol", intent.symbol, view.symbol or None), ("side", intent.side, view.side)]
        pairs.append(("asset_class", order.asset_class, view.asset_class))
    if terms is not None:
        pairs.append(("quantity", order.terms.quantity, terms.quantity if order.terms.notional is None else None))
        pairs.append(("notional", order.terms.notional, terms.notional))
    if order.parent_order_id is None and not order.is_external:
        pairs.append(("client_order_id", intent.client_order_id, view.client_order_id or None))
    for field, ours, theirs in pairs:
        if theirs is not None and ours is not None and ours != theirs:
            return field, str(ours), str(theirs)
    return None


def _link_of(view: View) -> BrokerLink:
    """A new link that has heard nothing yet: the report that follows fills it in."""
    return BrokerLink(broker_order_id=view.broker_order_id, client_order_id=view.client_order_id, status=view.status)


def _bind_first(draft: Draft, fact: Reported) -> Verdict | None:
    order, view = draft.order, fact.view
    difference = mismatch(order, view)
    if difference is not None or order.state in {OrderState.DENIED, OrderState.REPLACED}:
        field, ours, theirs = difference or ("state", order.state, view.status)
        draft.find(MISMATCH, f"{field} {ours}", f"{field} {theirs} of {view.broker_order_id}")
        return Impossible(
            explanation=f"broker order {view.broker_order_id} is not this one: {field} is {theirs}, not {ours}",
            findings=tuple(draft.findings),
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
                link=_link_of(view),
                expires_time=view.expires_time,
            )
        )
    else:
        draft.find("REVIVED", order.state, view.status)
        to_state = _revived(draft, view)
        reason = Reason(code="REVIVED", message=view.status, origin=source)
        draft.add(Restated(at=at, source=source, heard_ns=heard, link=_link_of(view), to_state=to_state, reason=reason))
    return None


def _revived(draft: Draft, view: View) -> OrderState:
    """An end that was ours gives way to a broker that has the order; a broker's own end stands."""
    order = draft.order
    if order.closed_by not in OURS and order.state is not OrderState.REJECTED:
        return order.state
    move = Move.REVIVE_WORKING if view.phase is Phase.WORKING else Move.REVIVE_QUEUED
    return draft.move(move) or order.state


def _bind_successor(draft: Draft, fact: Reported) -> Verdict | None:
    order, view = draft.order, fact.view
    pending = order.pending_replace
    is_asked = pending is not None and view.client_order_id == pending.client_order_id
    follows = any(link.broker_order_id == view.replaces for link in order.links)
    if not (is_asked or follows):
        draft.find("SECOND_BROKER_ORDER", order.broker_order_id, view.broker_order_id)
        return Impossible(
            explanation=f"broker order {view.broker_order_id} follows none of this order's chain",
            findings=tuple(draft.findings),
        )
    current = order.links[-1].broker_order_id
    if view.phase is Phase.REJECTED:
        if pending is not None:
            reason = Reason(code=view.reason_code or "REJECTED", message=view.reason_text, origin=fact.source)
            draft.add(ReplaceRefused(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, reason=reason))
        draft.need(NeedKind.ORDER, current)
        return draft.verdict(is_stale=True)
    if pending is not None and not _proves(fact):
        # A 200 is not yet success: the old order may fill first. Its own word decides.
        draft.need(NeedKind.ORDER, current)
        return draft.verdict(is_stale=True)
    if pending is not None:
        replaced(draft, fact, _link_of(view), pending.terms)
        return None
    terms = differing_terms(order.terms, view.terms) if view.terms is not None else None
    reason = Reason(code="REPLACED_AT_BROKER", message=f"{current} became {view.broker_order_id}", origin=fact.source)
    draft.add(
        Restated(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=_link_of(view),
            to_state=_state_beside(draft),
            terms=terms,
            reason=reason,
        )
    )
    return None


def _state_beside(draft: Draft) -> OrderState:
    """Binding a successor moves nothing by itself, but an order of ours that we ended may be alive in it."""
    order = draft.order
    return order.state if order.is_open or order.closed_by is not EventSource.ENGINE else OrderState.SUBMITTED


def _proves(fact: Reported) -> bool:
    """Whether the successor itself proves the replace: it works, it traded, or it has ended by its own."""
    return fact.execution is not None or fact.view.phase not in {Phase.QUEUED, Phase.PENDING_REPLACE, Phase.UNKNOWN}
