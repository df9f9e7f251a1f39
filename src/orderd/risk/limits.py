"""The limits of one account, and what is known of the account when an order is judged.

Rule: an unset limit is skipped; a set one whose input is missing says no (`PRICE_UNAVAILABLE`).
"""

from decimal import Decimal
from enum import StrEnum
from typing import Final

from orderd.core.assets import Asset
from orderd.core.order import AssetClass, Order, Side
from orderd.core.values import ZERO, Value

PRICE_UNAVAILABLE: Final = "PRICE_UNAVAILABLE"
"""Of every denial for a needed figure that is missing, or is no number."""


def usable(value: Decimal | None) -> Decimal | None:
    """The figure when it is one: NaN and the infinite are as good as nothing."""
    return value if value is not None and value.is_finite() else None


class TradingState(StrEnum):
    """How much of trading is allowed. ACTIVE: all; REDUCING: what is proven to reduce; HALTED: stops and exits."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class OppositeOrders(StrEnum):
    """What a broker makes of an order that could meet an own resting one of the other side.

    PRICE_RULE: two limits are taken when their prices do not meet; anything else is refused.
    """

    ALLOWED = "ALLOWED"
    REFUSED = "REFUSED"
    PRICE_RULE = "PRICE_RULE"


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
    max_open_positions: int | None = None
    """Distinct symbols with open quantity or a live entry, the judged order's included."""
    check_buying_power: bool | None = None
    """Whether an order may cost no more than the broker's buying power leaves."""
    max_orders_per_minute: int | None = None
    """New orders that open something, in any 60 seconds."""
    duplicate_window_s: Decimal | None = None
    """Seconds in which a second order that asks for the same thing is taken for a mistake."""
    max_daily_loss_percent: Decimal | None = None
    """Realised loss of a day, in percent of the equity at the last close, at which entries pause."""
    max_losses_in_a_row: int | None = None
    """Losing trades in a row, in any symbols, after which entries pause."""
    risk_percent: Decimal | None = None
    """Share of the equity that one trade may lose, in percent; unset: 1."""
    risk_cap: Decimal | None = None
    """Most money that one trade may lose."""
    max_position_percent: Decimal | None = None
    """Largest value of one position, in percent of the equity."""
    allow_fractions: bool | None = None
    """Whether a trade is sized in parts of a share where the broker trades them; unset: in whole shares."""
    approval_above_notional: Decimal | None = None
    """Value above which the intent of a decision waits for a person; unset: never."""
    approval_price_percent: Decimal | None = None
    """How far the market may have moved from a decision's price when it is approved, in percent."""
    extended_exit_offset_percent: Decimal | None = None
    """How far an exit's limit is from the last price outside the regular session, in percent; unset: none goes out."""

    @property
    def has_breaker(self) -> bool:
        """Whether realised losses can pause entries."""
        return self.max_daily_loss_percent is not None or self.max_losses_in_a_row is not None


class Standing(Value, frozen=True, kw_only=True):
    """What the broker lets the account do. None where the broker does not say: that is not judged here."""

    is_trading_blocked: bool = False
    may_short: bool | None = None
    options_level: int | None = None
    """0 nothing, 1 covered calls and cash-secured puts, 2 long options too, 3 spreads too."""


class Stake(Value, frozen=True, kw_only=True):
    """A strategy that has, or is about to open, something in the order's symbol; one without a name is nobody."""

    strategy: str
    side: Side


NO_STANDING: Final = Standing()


class Exposure(Value, frozen=True, kw_only=True):
    """What the account has at stake when an order is judged: committed, and reserved by orders on their way.

    `position` is the signed quantity of the order's symbol, None when unknown; `closing_leaves` what other orders
    that close it have still to execute. `multiplier`: units per contract, None when unknown (adjusted options).
    `blocked_symbols`: entries wait there until a discrepancy is resolved.
    """

    trading_state: TradingState = TradingState.ACTIVE
    freeze_protection: bool = False
    """While HALTED not even stops and exits pass."""
    tripped: str = ""
    """Why the circuit breaker is open, empty when it is not."""
    base_equity: Decimal | None = None
    """What the day's loss limit is a share of: the broker's last equity."""
    standing: Standing = NO_STANDING
    asset: Asset | None = None
    """The order's instrument in the broker's words. None when it could not be asked: nothing of it is judged then."""
    asset_class: AssetClass = AssetClass.US_EQUITY
    opposing: tuple[Order, ...] = ()
    """Own live orders of the other side in the symbol."""
    opposite_orders: OppositeOrders = OppositeOrders.ALLOWED
    stakes: tuple[Stake, ...] = ()
    open_orders: int = 0
    open_symbols: frozenset[str] | None = None
    """Symbols with open quantity or a live entry, without the judged order; None when not known."""
    position: Decimal | None = None
    is_position_proven: bool = True
    """Whether the broker has just said so. What is only believed shows who may be wrong, it lets nobody pass."""
    closing_leaves: Decimal = ZERO
    multiplier: Decimal | None = Decimal(1)
    blocked_symbols: frozenset[str] = frozenset()
    last_price: Decimal | None = None
    """What the symbol traded at last; goes before the request's reference price."""
    buying_power: Decimal | None = None
    """As the broker shows it, in the account's currency."""
    reserved: Decimal = ZERO
    """What own orders cost that this figure cannot know of yet."""
    orders_last_minute: int = 0
    retry_after_s: float = 60
    """When the oldest of them is a minute old."""
    has_twin: bool = False
    """Whether an order that asks for the same was taken within the duplicate guard's window."""
