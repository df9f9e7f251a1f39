"""Folding one recorded event into the order. Pure and total: replaying a journal never fails.

Rule: nothing is judged here. What an event means for the state was settled by `lifecycle.decide`, which wrote the
resulting state into the event where the event's type alone does not say it.
"""

from typing import Any, assert_never

import msgspec

from orderd.core.events import (
    Accepted,
    Acknowledged,
    Canceled,
    CancelRefused,
    CancelRequested,
    Created,
    Denied,
    Event,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    Imported,
    OutcomeUnknown,
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequested,
    Resolved,
    Restated,
    SubmitFailed,
    Submitted,
)
from orderd.core.order import ENDED, OURS, BrokerLink, EventSource, Fill, FillStatus, Order, OrderState, ReplaceAnswered
from orderd.core.values import ZERO, FillId, add, multiply

Changes = dict[str, Any]


def evolve(order: Order, event: Event) -> Order:
    """Return the order after this event. Never fails on a recorded event."""
    changes = _of(order, event)
    changes["version"] = order.version + 1
    changes["updated_time"] = event.at
    if event.heard_ns > order.heard_ns:
        changes["heard_ns"] = event.heard_ns
    link, reason = event.link, event.reason
    if link is not None:
        changes["links"] = _with(order.links, link)
        if changes["links"][-1] is link:
            changes["broker_status"] = link.status
    before: OrderState = order.state
    state: OrderState = changes.get("state", before)
    if reason is not None or (state is not before and "fills" not in changes):
        changes["reason"] = reason
    if state in ENDED:
        _fold_end(order, event, state, changes)
    elif before in ENDED:
        changes["closed_time"] = None
        changes["closed_by"] = None
    return msgspec.structs.replace(order, **changes)


def _with(links: tuple[BrokerLink, ...], link: BrokerLink) -> tuple[BrokerLink, ...]:
    """The chain with this link as it is now: in its place when known, behind the others when new."""
    if len(links) == 1 and links[0].broker_order_id == link.broker_order_id:
        return (link,)
    for number, known in enumerate(links):
        if known.broker_order_id == link.broker_order_id:
            return (*links[:number], link, *links[number + 1 :])
    return (*links, link)


def _fold_end(order: Order, event: Event, state: OrderState, changes: Changes) -> None:
    """Stamp an end; an order that had ended keeps its first closing time. Who asked for a cancel stays on record."""
    changes["pending_cancel"] = False
    changes["pending_replace"] = None
    if order.state not in ENDED or order.closed_time is None:
        changes["closed_time"] = event.broker_time or event.at
        changes["closed_by"] = _whose(event)
    elif state is not order.state:
        changes["closed_by"] = _whose(event)


def _whose(event: Event) -> EventSource:
    """An end that a broker's word brought is the broker's, also when an operator or a timer had asked for that word."""
    if event.link is not None and event.source in OURS:
        return EventSource.BROKER_REPLY
    return event.source


def _of(order: Order, event: Event) -> Changes:  # noqa: C901, PLR0911, PLR0912 - one arm per event, no catch-all
    match event:
        case Filled():
            return _filled(order, event)
        case Created():
            return {}
        case Submitted():
            return {
                "state": OrderState.SUBMITTED,
                "attempts": order.attempts + 1,
                "submitted_time": order.submitted_time or event.at,
                "reason": None,
            }
        case Acknowledged():
            return {
                "state": OrderState.SUBMITTED,
                "reason": None,
                "expires_time": event.expires_time or order.expires_time,
            }
        case Accepted():
            return {"state": OrderState.ACCEPTED, "accepted_time": order.accepted_time or event.broker_time or event.at}
        case FillCorrected():
            fills = _freed(_marked(order.fills, event.removed, event.removed_status), event.misplaced) + event.added
            return _totals(order, fills) | {"state": event.to_state}
        case FillBusted():
            fills = _marked(order.fills + event.added, event.removed, FillStatus.BUSTED)
            return _totals(order, fills) | {"state": event.to_state, "is_busted": True}
        case CancelRequested():
            return {"pending_cancel": True, "cancel_asked_by": event.source}
        case CancelRefused():
            return {"pending_cancel": False, "cancel_asked_by": None}
        case ReplaceRequested():
            asked = ReplaceAnswered(request_id=event.pending.request_id, terms=event.pending.terms)
            return {"pending_replace": event.pending, "replace_requests": (*order.replace_requests, asked)}
        case Replaced():
            return {"terms": event.terms, "pending_replace": None, "state": event.to_state}
        case ReplaceRefused():
            return {"pending_replace": None}
        case Restated():
            return _restated(order, event)
        case Canceled():
            return {"state": OrderState.CANCELED}
        case Expired():
            return {"state": OrderState.EXPIRED}
        case Rejected():
            return {"state": OrderState.REJECTED}
        case Denied():
            return {"state": OrderState.DENIED}
        case OutcomeUnknown():
            return {"state": OrderState.UNKNOWN}
        case SubmitFailed():
            return {"state": OrderState.SUBMIT_FAILED}
        case Imported() | Resolved():
            return {"state": event.to_state}
        case _:  # pragma: no cover - the union is closed: the checkers prove this line unreachable
            assert_never(event)


def _filled(order: Order, event: Filled) -> Changes:
    if event.fill is None:
        return {
            "state": event.to_state,
            "filled_quantity": event.filled_quantity or ZERO,
            "filled_value": event.filled_value or ZERO,
        }
    fill = event.fill
    total = add(order.filled_quantity, fill.quantity)
    changes: Changes = {
        "state": event.to_state,
        "fills": (*order.fills, fill),
        "filled_quantity": total,
        "filled_value": add(order.filled_value, multiply(fill.quantity, fill.price)),
    }
    if order.terms.quantity is not None and total > order.terms.quantity:
        changes["is_overfilled"] = True
    return changes


def _restated(order: Order, event: Restated) -> Changes:
    changes: Changes = {"state": event.to_state}
    if event.terms is not None:
        changes["terms"] = event.terms
    if event.pending_cancel is not None:
        changes["pending_cancel"] = event.pending_cancel
        changes["cancel_asked_by"] = EventSource.ENGINE if event.pending_cancel else None
    if event.pending_bust is not None:
        changes["pending_busts"] = (*order.pending_busts, event.pending_bust)
    if event.added_alias is not None:
        fill_id, alias = event.added_alias
        changes["fills"] = tuple(
            msgspec.structs.replace(f, aliases=(*f.aliases, alias)) if f.fill_id == fill_id else f for f in order.fills
        )
    return changes


def _marked(fills: tuple[Fill, ...], removed: tuple[FillId, ...], status: FillStatus) -> tuple[Fill, ...]:
    return tuple(msgspec.structs.replace(f, status=status) if f.fill_id in removed else f for f in fills)


def _freed(fills: tuple[Fill, ...], misplaced: tuple[FillId, ...]) -> tuple[Fill, ...]:
    """Those that covered an interval which was another one's give it up, and the names that came with it."""
    if not misplaced:
        return fills
    return tuple(
        msgspec.structs.replace(f, is_restated=True, aliases=f.aliases[:1]) if f.fill_id in misplaced else f
        for f in fills
    )


def _totals(order: Order, fills: tuple[Fill, ...]) -> Changes:
    quantity, value = ZERO, ZERO
    for fill in fills:
        if fill.is_counted:
            quantity = add(quantity, fill.quantity)
            value = add(value, multiply(fill.quantity, fill.price))
    wanted = order.terms.quantity
    return {
        "is_busted": order.is_busted or quantity < order.filled_quantity,
        "fills": fills,
        "filled_quantity": quantity,
        "filled_value": value,
        "is_overfilled": wanted is not None and quantity > wanted,
        "pending_busts": tuple(
            b
            for b in order.pending_busts
            if not any(b.previous_execution_id in f.aliases for f in fills if not f.is_counted)
        ),
    }
