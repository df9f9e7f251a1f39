"""The gate: the only place where an intent becomes `Approved`.

Rule 1: it judges what an order opens. Stops, exits and whatever is proven to reduce pass it; cancels never see it.
Rule 2: deny by name, the first limit that says no. A price that is needed and missing is a no.
Rule 3: pure and exact: the same intent, exposure and limits always get the same answer.
"""

from collections.abc import Iterator
from decimal import Decimal

from orderd.core.order import CLOSING_INTENTS, CLOSING_ROLES, EventSource, OrderClass, OrderIntent, Side
from orderd.core.turnstiles import Approved, Denied
from orderd.core.values import Reason, canonical, multiply, subtract
from orderd.risk.limits import Exposure, Limits, TradingState

PERCENT = Decimal(100)
PRICE_UNAVAILABLE = "PRICE_UNAVAILABLE"


def review(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Approved | Denied:
    """Judge an intent. The same for a replace: the new terms, with the order's own share left out of `exposure`."""
    denial = next(_denials(intent, exposure, limits), None)
    return Approved(intent=intent) if denial is None else Denied(intent=intent, reason=denial)


def reduces(intent: OrderIntent, exposure: Exposure) -> bool:
    """Whether the order is proven to make the position smaller, and never to turn it."""
    if intent.order_class is OrderClass.MULTILEG:
        return bool(intent.legs) and all(leg.position_intent in CLOSING_INTENTS for leg in intent.legs)
    quantity, position = intent.terms.quantity, exposure.position
    if quantity is None or not position:
        return False
    is_opposite = intent.side is (Side.SELL if position > 0 else Side.BUY)
    return is_opposite and quantity <= subtract(abs(position), exposure.closing_leaves)


def notional_of(intent: OrderIntent, exposure: Exposure) -> Decimal | None:
    """The most the order can be worth, None when a price (or the multiplier) is missing.

    A buy limit bounds the price; anything else is valued at the highest price known. A MULTILEG order is valued at its
    net price, as debit or credit.
    """
    terms = intent.terms
    if terms.notional is not None:
        return terms.notional
    if intent.side is Side.BUY and terms.limit_price is not None:
        prices = [terms.limit_price]
    else:
        known = (terms.limit_price, terms.stop_price, intent.reference_price)
        prices = [abs(price) for price in known if price is not None]
    if not prices or terms.quantity is None or exposure.multiplier is None:
        return None
    return multiply(multiply(max(prices), terms.quantity), exposure.multiplier)


def _denials(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    """Every no, in the order in which they are told."""
    is_ours = intent.role in CLOSING_ROLES
    is_closing = is_ours or reduces(intent, exposure)
    match exposure.trading_state:
        case TradingState.HALTED if not is_ours:
            yield _no("TRADING_HALTED", "the account is halted: only its own stops and exits pass")
        case TradingState.REDUCING if not is_closing:
            yield _no("TRADING_REDUCING", "only orders that are proven to reduce a position pass")
        case _:
            pass
    if is_closing:
        return
    yield from _symbols(intent, exposure, limits)
    yield from _quantity(intent, exposure, limits)
    yield from _notional(intent, exposure, limits)
    yield from _collar(intent, limits)
    if limits.max_open_orders is not None and exposure.open_orders >= limits.max_open_orders:
        yield _no("MAX_OPEN_ORDERS", f"{exposure.open_orders} orders are open, the limit is {limits.max_open_orders}")


def _symbols(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    for symbol in dict.fromkeys([intent.symbol, *(leg.symbol for leg in intent.legs)]):
        if not symbol:
            continue  # a MULTILEG parent has none of its own
        if symbol in exposure.blocked_symbols:
            yield _no("SYMBOL_BLOCKED", f"{symbol} waits until a discrepancy is resolved")
        if limits.allowed_symbols is not None and symbol not in limits.allowed_symbols:
            yield _no("SYMBOL_NOT_ALLOWED", f"{symbol} is not among the allowed symbols")


def _quantity(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    """A notional order buys as much as its reference price allows."""
    limit, quantity = limits.max_order_quantity, intent.terms.quantity
    if limit is None:
        return
    if quantity is not None:
        if quantity > limit:
            yield _over("MAX_ORDER_QUANTITY", "quantity", quantity, limit)
        return
    notional, price = intent.terms.notional, intent.reference_price
    if notional is None or price is None or price <= 0 or exposure.multiplier is None:
        yield _no(PRICE_UNAVAILABLE, "max_order_quantity needs a reference_price for an order by notional")
    elif notional > multiply(multiply(limit, price), exposure.multiplier):
        yield _over("MAX_ORDER_QUANTITY", f"quantity for {canonical(notional)} at {canonical(price)}", None, limit)


def _notional(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    limit = limits.max_order_notional
    if limit is None:
        return
    notional = notional_of(intent, exposure)
    if notional is None:
        yield _no(PRICE_UNAVAILABLE, "max_order_notional needs a price: send a reference_price or a limit_price")
    elif notional > limit:
        yield _over("MAX_ORDER_NOTIONAL", "notional", notional, limit)


def _collar(intent: OrderIntent, limits: Limits) -> Iterator[Reason]:
    """Prices of the order against the reference price. A MULTILEG net price may be zero: no share of it means much."""
    collar, reference = limits.price_collar_percent, intent.reference_price
    prices = [price for price in (intent.terms.limit_price, intent.terms.stop_price) if price is not None]
    if collar is None or not prices or intent.order_class is OrderClass.MULTILEG:
        return
    if reference is None or reference <= 0:
        yield _no(PRICE_UNAVAILABLE, "price_collar_percent needs a reference_price")
    else:
        yield from (
            _no("PRICE_COLLAR", f"{canonical(price)} is more than {canonical(collar)} % from {canonical(reference)}")
            for price in prices
            if multiply(abs(subtract(price, reference)), PERCENT) > multiply(reference, collar)
        )


def _over(code: str, what: str, value: Decimal | None, limit: Decimal) -> Reason:
    said = what if value is None else f"{what} {canonical(value)}"
    return _no(code, f"{said} is over the limit of {canonical(limit)}")


def _no(code: str, message: str) -> Reason:
    return Reason(code=code, message=message, origin=EventSource.RISK)
