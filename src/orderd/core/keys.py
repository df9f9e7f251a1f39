"""The idempotency key and what it stands for.

Rule: a derived key comes from what the caller said and from nothing computed, so a retry from another process, after a
restart, or at another minute of the clock derives the same one.
"""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from orderd.core.order import OrderIntent
from orderd.core.trade import Signal
from orderd.core.values import AccountId, ClientOrderId, OrderId, canonical

BUCKET_S = 60
"""Width of the time bucket of keys derived without a decision, in seconds of the decision's own time."""

_BUCKET = timedelta(seconds=BUCKET_S)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _key(prefix: str, *parts: str) -> ClientOrderId:
    """`prefix-` and 26 letters of a hash over length-prefixed parts: within `[A-Za-z0-9-]{1,48}`."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return ClientOrderId(f"{prefix}-{base64.b32encode(digest).decode().rstrip('=').lower()}")


def bucket(decided_time: datetime | None) -> int:
    """floor(decided time / 60 s), 0 without one. Never the clock of the retry."""
    return 0 if decided_time is None else (decided_time - _EPOCH) // _BUCKET


def derive(intent: OrderIntent) -> ClientOrderId:
    """The key of an order sent without one: by its decision when it has one, else by its trace and what it asks."""
    side = intent.side or ""
    symbol = intent.symbol or ",".join(f"{leg.symbol}*{canonical(leg.ratio)}{leg.side}" for leg in intent.legs)
    if intent.decision_id:
        return _key("d", intent.account_id, intent.decision_id, symbol, side)
    size = _size(intent.terms.quantity, intent.terms.notional)
    return _key("t", intent.account_id, intent.trace_id, symbol, side, size, str(bucket(intent.decided_time)))


def _size(quantity: Decimal | None, notional: Decimal | None) -> str:
    if quantity is not None:
        return f"q{canonical(quantity)}"
    return f"n{canonical(notional)}" if notional is not None else ""


def leg_key(parent: ClientOrderId, account_id: AccountId, number: int) -> ClientOrderId:
    """The key of a complex order's leg: ours, never sent (the broker names legs itself)."""
    return _key("g", account_id, parent, str(number))


def completed_trade_id(entry_order_id: str, exit_order_id: str) -> str:
    """The id of what one exit order closed of one entry order: the same however often it is worked out."""
    return _key("ct", entry_order_id, exit_order_id)


def position_id(account_id: str, symbol: str, change_id: str) -> str:
    """The id of a position: hash(account, symbol, what opened it). Working it out again gives the same one."""
    return _key("p", account_id, symbol, change_id)


def replace_key(order_id: OrderId, number: int) -> ClientOrderId:
    """The client id a replace carries: hash(order id, n), so that a lost answer can be looked up."""
    return _key("r", order_id, str(number))


def trade_key(trade_id: str, role: str, number: int) -> ClientOrderId:
    """The key of a trade's own order: hash(trade id, role, n), n journaled before the send."""
    return _key("x", trade_id, role, str(number))


def flatten_key(account_id: str, number: int, symbol: str) -> ClientOrderId:
    """The key of an exit that the kill switch sends: hash(account, which use of it, symbol), journaled before."""
    return _key("f", account_id, str(number), symbol)


def open_trade_key(account_id: str, decision_id: str, signal: Signal) -> str:
    """The key of a trade opened without one: by its decision when it has one, else by what the signal says."""
    if decision_id:
        return _key("o", account_id, decision_id)
    seen = "" if signal.signal_time is None else signal.signal_time.isoformat()
    prices = (canonical(signal.entry_price), canonical(signal.stop_loss_price))
    return _key("o", account_id, signal.strategy, signal.symbol, signal.side, seen, *prices)


def close_key(account_id: str, decision_id: str) -> str:
    """The key of a decision's request to close a trade."""
    return _key("c", account_id, decision_id)


TOLD: Final = frozenset({"symbol", "side", "quantity", "notional"})
"""What every broker tells of an order in the words it was submitted with."""


def differences(a: OrderIntent, b: OrderIntent, *, is_taken_up: bool = False) -> tuple[str, ...]:
    """Names of the fields in which two orders with the same key differ; empty means the same content.

    Trace id, tags and waiting are not content. Decimals compare by value. `is_taken_up`: what `a` was asked to be is
    lost; it is compared, as at an adoption, by what its broker tells of it.
    """
    pairs = {
        "account_id": (a.account_id, b.account_id),
        "symbol": (a.symbol, b.symbol),
        "side": (a.side, b.side),
        "quantity": (a.terms.quantity, b.terms.quantity),
        "notional": (a.terms.notional, b.terms.notional),
        "type": (a.terms.type, b.terms.type),
        "time_in_force": (a.terms.time_in_force, b.terms.time_in_force),
        "limit_price": (a.terms.limit_price, b.terms.limit_price),
        "stop_price": (a.terms.stop_price, b.terms.stop_price),
        "trail_price": (a.terms.trail_price, b.terms.trail_price),
        "trail_percent": (a.terms.trail_percent, b.terms.trail_percent),
        "extended_hours": (a.terms.extended_hours, b.terms.extended_hours),
        "order_class": (a.order_class, b.order_class),
        "take_profit": (a.take_profit, b.take_profit),
        "stop_loss": (a.stop_loss, b.stop_loss),
        "legs": (a.legs, b.legs),
        "position_intent": (a.position_intent, b.position_intent),
        "decision_id": (a.decision_id, b.decision_id),
    }
    if is_taken_up:
        pairs = {name: pair for name, pair in pairs.items() if name in TOLD and pair[0]}
    return tuple(name for name, (ours, theirs) in pairs.items() if ours != theirs)
