"""What a request meets: the account's own opposite orders, its free units, its buying power (reference, 6 and 13)."""

from decimal import Decimal

from orderd.venue import matching
from orderd.venue.accounts import Account
from orderd.venue.asking import Ask
from orderd.venue.funds import available_quantity, available_to, funds_of
from orderd.venue.money import CENT, round_to, text
from orderd.venue.orders import (
    CLOSING,
    COMPLEX,
    AssetClass,
    Order,
    OrderClass,
    OrderType,
    PositionIntent,
    Reason,
    Refused,
    Side,
)
from orderd.venue.state import State


def wash(ask: Ask) -> Refused | None:
    """The wash-trade table: trailing stops and complex orders are exempt (reference, section 6; F 13817)."""
    exempt = ask.new.order_class in COMPLEX or ask.new.type is OrderType.TRAILING_STOP
    if exempt or not ask.state.settings.refuses_wash_trades:
        return None
    for other in ask.state.book.open_of(ask.account.account_id, ask.asset.symbol):
        if other.side is ask.side or not _can_meet(ask, other):
            continue
        kind = "limit" if other.type is OrderType.LIMIT else "market/stop"
        return Refused(
            reason=Reason.WASH_TRADE,
            details={
                "existing_order_id": other.order_id,
                "reject_reason": f"opposite side {kind} order exists",
            },
        )
    return None


def _can_meet(ask: Ask, other: Order) -> bool:
    if other.order_class in COMPLEX or other.order_class is OrderClass.MLEG:
        return False
    if other.type is OrderType.TRAILING_STOP:
        return False
    if other.type is not OrderType.LIMIT or other.limit_price is None:
        return True
    if ask.new.type is not OrderType.LIMIT or ask.new.limit_price is None:
        return True
    return matching.is_within(ask.side, other.limit_price, ask.new.limit_price)


def opposite(ask: Ask) -> Refused | None:
    """No long and short at once: not even as two opening orders (Alpaca-API#82)."""
    wanted = {
        PositionIntent.BUY_TO_OPEN: PositionIntent.SELL_TO_OPEN,
        PositionIntent.SELL_TO_OPEN: PositionIntent.BUY_TO_OPEN,
    }.get(ask.intent)
    if wanted is None or ask.asset.asset_class is not AssetClass.EQUITY:
        return None
    for other in ask.state.book.open_of(ask.account.account_id, ask.asset.symbol):
        if other.position_intent is wanted and not other.parent_id:
            return Refused(reason=Reason.OPPOSITE_OPEN, details={"side": ask.side.value})
    return None


def units(ask: Ask) -> Refused | None:
    """A closing order cannot give more than is held and free; nor can coins be sold short."""
    if ask.intent in CLOSING:
        return not_enough(ask.state, ask.account, ask.asset.symbol, ask.quantity)
    if ask.side is Side.BUY:
        return None
    match ask.asset.asset_class:
        case AssetClass.CRYPTO:
            return not_enough(ask.state, ask.account, ask.asset.symbol, ask.quantity)
        case AssetClass.OPTION:
            return _covered(ask)
        case AssetClass.EQUITY:
            return _short(ask)


def _short(ask: Ask) -> Refused | None:
    """A short sale needs whole shares, an account that may, and an asset that can be borrowed."""
    if ask.is_fractional:
        return Refused(reason=Reason.FRACTIONAL_SHORT)
    if ask.account.configuration.no_shorting:
        return Refused(reason=Reason.SHORTING_OFF)
    if not ask.asset.is_shortable:
        return Refused(reason=Reason.NOT_SHORTABLE, details={"symbol": ask.asset.symbol})
    return None


def not_enough(state: State, account: Account, symbol: str, quantity: Decimal) -> Refused | None:
    """A closing order for more than the position's free units is refused, naming what holds the others."""
    free, held, orders = available_quantity(state, account, symbol)
    if quantity <= free:
        return None
    return Refused(
        reason=Reason.INSUFFICIENT_QUANTITY,
        details={
            "requested": text(quantity),
            "available": text(free),
            "existing_qty": text(abs(account.held(symbol))),
            "held_for_orders": text(held),
            "symbol": symbol,
        },
        related=orders,
    )


def _covered(ask: Ask) -> Refused | None:
    """A written call needs its shares; a written put needs the strike in cash (level 1)."""
    from_symbol = ask.asset.symbol[:-15]
    underlying = ask.state.asset(from_symbol)
    required = ask.quantity * ask.asset.multiplier
    if ask.asset.symbol[-9] == "P":
        return _affordable(ask, required * Decimal(ask.asset.symbol[-8:]).scaleb(-3))
    free, _, _ = available_quantity(ask.state, ask.account, from_symbol)
    if ask.account.held(from_symbol) > 0 and free >= required:
        return None
    return Refused(
        reason=Reason.COVERED_CALL,
        details={
            "symbol": ask.asset.symbol,
            "required_qty": text(required),
            "available_qty": text(free),
            "underlying_asset_id": underlying.asset_id,
        },
    )


def money(ask: Ask) -> Refused | None:
    if ask.intent in CLOSING or (ask.side is Side.SELL and ask.asset.asset_class is AssetClass.OPTION):
        return None
    if ask.new.notional is not None:
        return _affordable(ask, ask.new.notional)
    return _affordable(ask, ask.quantity * ask.basis * ask.asset.multiplier)


def _affordable(ask: Ask, cost: Decimal) -> Refused | None:
    return affordable(ask.state, ask.account, ask.asset.asset_class, cost)


def affordable(state: State, account: Account, asset_class: AssetClass, cost: Decimal) -> Refused | None:
    """Opening orders need buying power."""
    available = available_to(funds_of(state, account), asset_class)
    if cost <= available:
        return None
    return Refused(
        reason=Reason.INSUFFICIENT_BUYING_POWER,
        details={"buying_power": text(round_to(available, CENT)), "cost_basis": text(round_to(cost, CENT))},
    )
