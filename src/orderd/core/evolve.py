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
from orderd.core.order import ENDED, BrokerLink, Fill, FillStatus, Order, OrderState, ReplaceAnswered
from orderd.core.values import ZERO, FillId, add, multiply

Changes = dict[str, Any]


def evolve(order: Order, event: Event) -> Order:
    """Return the order after this event. Never fails on a recorded event."""
    changes = _of(order, event)
    changes["version"] = order.version + 1
    changes["updated_time"] = event.at
    if event.heard_ns > order.heard_ns:
        changes["heard_ns"] = event.heard_ns
    if event.link is not None:
        _fold_link(order, event.link, changes)
    _fold_end(order, event, changes)
    return msgspec.structs.replace(order, **changes)


def _fold_link(order: Order, link: BrokerLink, changes: Changes) -> None:
    links: tuple[BrokerLink, ...] = changes.get("links", order.links)
    if links and links[-1].broker_order_id == link.broker_order_id:
        links = (*links[:-1], link)
        changes["broker_status"] = link.status
    elif any(known.broker_order_id == link.broker_order_id for known in links):
        links = tuple(link if known.broker_order_id == link.broker_order_id else known for known in links)
    else:
        links = (*links, link)
        changes["broker_status"] = link.status
    changes["links"] = links


def _fold_end(order: Order, event: Event, changes: Changes) -> None:
    """Stamp an end, or take the stamp away from an order that proved alive."""
    state = changes.get("state", order.state)
    if event.reason is not None or (state is not order.state and not isinstance(event, Filled)):
        changes["reason"] = event.reason
    if state in ENDED:
        changes["pending_cancel"] = False
        changes["pending_replace"] = None
        if order.state not in ENDED or order.closed_time is None:
            changes["closed_time"] = event.broker_time or event.at
            changes["closed_by"] = event.source
        elif state is not order.state:
            changes["closed_by"] = event.source
    elif order.state in ENDED:
        changes["closed_time"] = None
        changes["closed_by"] = None


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
            fills = _marked(order.fills, event.removed, event.removed_status) + event.added
            return _totals(order, fills) | {"state": event.to_state}
        case FillBusted():
            fills = _marked(order.fills, event.removed, FillStatus.BUSTED)
            return _totals(order, fills) | {"state": event.to_state, "is_busted": True}
        case CancelRequested():
            return {"pending_cancel": True}
        case CancelRefused():
            return {"pending_cancel": False}
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


def _totals(order: Order, fills: tuple[Fill, ...]) -> Changes:
    quantity, value = ZERO, ZERO
    for fill in fills:
        if fill.is_counted:
            quantity = add(quantity, fill.quantity)
            value = add(value, multiply(fill.quantity, fill.price))
    wanted = order.terms.quantity
    return {
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
