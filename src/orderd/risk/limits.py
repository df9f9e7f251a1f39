"""The limits of one account, and what is known of the account when an order is judged.

Rule: an unset limit is skipped; a set one whose input is missing says no (`PRICE_UNAVAILABLE`).
"""

from decimal import Decimal
from enum import StrEnum

from orderd.core.values import ZERO, Value


class TradingState(StrEnum):
    """How much of trading is allowed. ACTIVE: all; REDUCING: what is proven to reduce; HALTED: stops and exits."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Limits(Value, frozen=True, kw_only=True):
    """Money in the account's currency, quantities in units of the asset (contracts for options), per order.

    `max_open_orders` counts the account's orders without an end, UNKNOWN ones included, the judged one too.
    `price_collar_percent`: how far, either way, a price may be from the reference price; 5 means 5 %.
    """

    max_order_notional: Decimal | None = None
    max_order_quantity: Decimal | None = None
    max_open_orders: int | None = None
    price_collar_percent: Decimal | None = None
    allowed_symbols: frozenset[str] | None = None


class Exposure(Value, frozen=True, kw_only=True):
    """What the account has at stake when an order is judged: committed, and reserved by orders on their way.

    `position` is the signed quantity of the order's symbol, None when unknown; `closing_leaves` what other orders
    that close it have still to execute. `multiplier`: units per contract, None when unknown (adjusted options).
    `blocked_symbols`: entries wait there until a discrepancy is resolved.
    """

    trading_state: TradingState = TradingState.ACTIVE
    open_orders: int = 0
    position: Decimal | None = None
    closing_leaves: Decimal = ZERO
    multiplier: Decimal | None = Decimal(1)
    blocked_symbols: frozenset[str] = frozenset()
