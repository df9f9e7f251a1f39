"""How far a decision has come, in one line for people. Pure.

Rule: the line is made from what its order and its trade say now. An order that the broker has not answered for is never
told as being under way there.
"""

from collections.abc import Mapping, Sequence

from orderd.core.decisions import Decision, DecisionKind, DecisionStatus
from orderd.core.order import Order, OrderRole, OrderState
from orderd.core.trade import Protection, Trade, TradeState
from orderd.core.values import ZERO, canonical

_WITHOUT_ORDER: Mapping[DecisionStatus, str] = {
    DecisionStatus.RECORDED: "Recorded, nothing sent",
    DecisionStatus.PENDING_APPROVAL: "Waiting for approval, nothing sent",
    DecisionStatus.APPROVED: "Approved, nothing sent yet",
    DecisionStatus.REJECTED: "Rejected, nothing sent",
    DecisionStatus.EXPIRED: "Expired, nothing sent",
    DecisionStatus.EXECUTED: "Carried out",
}
_STATES: Mapping[OrderState, str] = {
    OrderState.CREATED: "recorded, not sent yet",
    OrderState.UNKNOWN: "sent, its outcome is not known yet",
    OrderState.FILLED: "filled",
    OrderState.CANCELED: "canceled",
    OrderState.EXPIRED: "expired at the broker",
    OrderState.REJECTED: "rejected by the broker",
    OrderState.DENIED: "denied by risk",
    OrderState.SUBMIT_FAILED: "not placed at the broker",
    OrderState.REPLACED: "replaced at the broker",
}
_TRADES: Mapping[TradeState, str] = {
    TradeState.PENDING: "",
    TradeState.OPEN: "trade open",
    TradeState.CLOSING: "trade closing",
    TradeState.CLOSED: "trade closed",
    TradeState.NEVER_OPENED: "trade never opened",
}
_UNCOVERED: Mapping[Protection, str] = {
    Protection.ARMING: "its stop is on the way",
    Protection.UNPROTECTED: "not protected",
    Protection.DISARMED: "not protected",
}
_ROLES: Mapping[DecisionKind, frozenset[OrderRole | None]] = {
    DecisionKind.ENTRY: frozenset({OrderRole.ENTRY, None}),
    DecisionKind.EXIT: frozenset({OrderRole.EXIT, None}),
}


def order_of(decision: Decision, orders: Sequence[Order]) -> Order | None:
    """Return the order that a decision is about: its latest entry or exit, else its latest of any kind.

    `orders`: those that carry it, oldest first.
    """
    roles = _ROLES[decision.said.kind]
    own = [order for order in orders if order.intent.role in roles and order.parent_order_id is None]
    return next(reversed(own or orders), None)


def story(decision: Decision, order: Order | None, trade: Trade | None) -> str:
    """Return the line, such as "Entry filled, trade open"."""
    parts = [] if order is None else [_of_order(decision, order)]
    if trade is not None:
        parts += _of_trade(decision, trade)
    text = ", ".join(part for part in parts if part) or _WITHOUT_ORDER[decision.status]
    return text[:1].upper() + text[1:]


def _of_order(decision: Decision, order: Order) -> str:
    what = "entry" if decision.said.kind is DecisionKind.ENTRY else "exit"
    text = f"{what} {_state(order)}"
    if order.is_open and order.pending_cancel:
        text += ", its cancel is asked for"
    return text


def _state(order: Order) -> str:
    filled, wanted = order.filled_quantity, order.terms.quantity
    if filled > ZERO and order.state is not OrderState.FILLED:
        part = canonical(filled) if wanted is None else f"{canonical(filled)} of {canonical(wanted)}"
        end = "" if order.is_open else f", the rest {_STATES[order.state]}"
        return f"filled {part}{end}"
    if order.state in _STATES:
        return _STATES[order.state]
    if order.broker_order_id is None:
        return "sent, the broker has not answered"
    return "working at the broker" if order.state is OrderState.ACCEPTED else "taken by the broker, not working yet"


def _of_trade(decision: Decision, trade: Trade) -> list[str]:
    parts = [_TRADES[trade.state]]
    if trade.state is TradeState.OPEN and trade.protection in _UNCOVERED:
        parts.append(_UNCOVERED[trade.protection])
    if trade.state is TradeState.CLOSED and trade.realized_pnl is not None:
        parts.append(f"P&L {canonical(trade.realized_pnl)}")
    if trade.state is TradeState.NEVER_OPENED and trade.reason is not None and not decision.order_ids:
        parts.append(trade.reason.message or trade.reason.code)
    return parts
