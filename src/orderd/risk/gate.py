"""The gate: the only place where an intent becomes `Approved`.

Rule 1: it judges what an order opens. Stops, exits and whatever is proven to reduce pass it; cancels never see it.
Rule 2: deny by name, the first limit that says no. A figure that is needed and missing, or is no number, is a no.
Rule 3: pure and exact: the same intent, exposure and limits always get the same answer.
Rule 4: a denial is about what the order is. What only came too soon is told to come again (`Later`).
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

from orderd.core.assets import WHOLE, is_whole
from orderd.core.order import (
    CLOSING_INTENTS,
    CLOSING_ROLES,
    AssetClass,
    EventSource,
    OrderClass,
    OrderIntent,
    OrderRole,
    PositionIntent,
    Side,
)
from orderd.core.turnstiles import Approved, Denied, Later
from orderd.core.values import Reason, add, canonical, multiply, subtract
from orderd.risk.crossing import crossed
from orderd.risk.limits import PRICE_UNAVAILABLE, Exposure, Limits, TradingState, usable

PERCENT = Decimal(100)
_OPENING_INTENTS = frozenset({PositionIntent.BUY_TO_OPEN, PositionIntent.SELL_TO_OPEN})
_ENTRIES_WITH_EXITS = frozenset({OrderClass.BRACKET, OrderClass.OTO})
COVERED_LEVEL, LONG_LEVEL, SPREAD_LEVEL = 1, 2, 3
"""Alpaca's options levels: what may be sold against holdings, bought, combined (reference, section 13)."""

Check = Callable[[OrderIntent, Exposure, Limits], Iterator[Reason]]


def review(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Approved | Denied | Later:
    """Judge an intent. The same for a replace: the new terms, with the order's own share left out of `exposure`."""
    is_closing = intent.role in CLOSING_ROLES or reduces(intent, exposure)
    denial = _state(intent, exposure, is_closing=is_closing)
    if denial is None and not is_closing:
        denial = next((found for check in _OPENING for found in check(intent, exposure, limits)), None)
        if denial is None and (late := _rate(exposure, limits)) is not None:
            return Later(intent=intent, reason=late, retry_after_s=exposure.retry_after_s)
        if denial is None and exposure.has_twin and limits.duplicate_window_s is not None:
            text = f"an order for the same was taken within {canonical(limits.duplicate_window_s)} s"
            denial = _no("DUPLICATE_ORDER", text)
    if denial is not None:
        return Denied(intent=intent, reason=denial)
    return Approved(intent=intent, is_closing=is_closing)


def reduces(intent: OrderIntent, exposure: Exposure) -> bool:
    """Whether the order is proven to make the position smaller, and never to turn it."""
    if intent.order_class is OrderClass.MULTILEG:
        return bool(intent.legs) and all(leg.position_intent in CLOSING_INTENTS for leg in intent.legs)
    if _is_entry(intent) or not exposure.is_position_proven:
        return False
    quantity, left = usable(intent.terms.quantity), _closable(intent, exposure)
    return quantity is not None and left is not None and quantity <= left


def notional_of(intent: OrderIntent, exposure: Exposure) -> Decimal | None:
    """The most the order can be worth, None when a price (or the multiplier) is missing.

    A buy limit bounds the price; anything else is valued at the highest price known. A MULTILEG order is valued at its
    net price, as debit or credit.
    """
    terms = intent.terms
    if terms.notional is not None:
        return usable(terms.notional)
    if intent.side is Side.BUY and terms.limit_price is not None:
        known = [usable(terms.limit_price)]
    else:
        known = [usable(each) for each in (terms.limit_price, terms.stop_price, _reference(intent, exposure))]
    prices = [abs(price) for price in known if price is not None]
    quantity, multiplier = usable(terms.quantity), usable(exposure.multiplier)
    if not prices or quantity is None or multiplier is None:
        return None
    return multiply(multiply(max(prices), quantity), multiplier)


def _reference(intent: OrderIntent, exposure: Exposure) -> Decimal | None:
    """What the symbol is worth: its last price, else what the caller says."""
    return exposure.last_price if exposure.last_price is not None else intent.reference_price


def _is_entry(intent: OrderIntent) -> bool:
    """Whether it is meant to open, whatever is held."""
    return (
        intent.role is OrderRole.ENTRY
        or intent.position_intent in _OPENING_INTENTS
        or intent.order_class in _ENTRIES_WITH_EXITS
    )


def _closable(intent: OrderIntent, exposure: Exposure) -> Decimal | None:
    """What is held on the other side and no other order closes, None when there is nothing or it is not known."""
    position = usable(exposure.position)
    if not position or intent.side is not (Side.SELL if position > 0 else Side.BUY):
        return None
    return subtract(abs(position), exposure.closing_leaves)


# -------------------------------------------------------------------------------------------------- the trading state


def _state(intent: OrderIntent, exposure: Exposure, *, is_closing: bool) -> Reason | None:
    match exposure.trading_state:
        case TradingState.HALTED if exposure.freeze_protection:
            return _no("TRADING_FROZEN", "the account is frozen: nothing is sent but cancels")
        case TradingState.HALTED if intent.role not in CLOSING_ROLES:
            return _no("TRADING_HALTED", "the account is halted: only its own stops and exits pass")
        case TradingState.REDUCING if not is_closing:
            return _no("TRADING_REDUCING", "only orders that are proven to reduce a position pass")
        case _:
            return None


# ----------------------------------------------------------------------------------------------- what an order opens


def _breaker(_: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    if exposure.tripped:
        yield _no("CIRCUIT_BREAKER", exposure.tripped)
    if limits.max_daily_loss_percent is not None and usable(exposure.base_equity) is None:
        yield _no(PRICE_UNAVAILABLE, "max_daily_loss_percent needs the broker's last equity")


def _symbols(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    for symbol in _named(intent):
        if symbol in exposure.blocked_symbols:
            yield _no("SYMBOL_BLOCKED", f"{symbol} waits until a discrepancy is resolved")
        if limits.allowed_symbols is not None and symbol not in limits.allowed_symbols:
            yield _no("SYMBOL_NOT_ALLOWED", f"{symbol} is not among the allowed symbols")


def _flags(intent: OrderIntent, exposure: Exposure, _: Limits) -> Iterator[Reason]:
    """What the broker itself has said about the account and the instrument."""
    standing, asset = exposure.standing, exposure.asset
    if standing.is_trading_blocked:
        yield _no("TRADING_BLOCKED", "the broker has blocked trading in this account")
    if asset is not None and asset.is_tradable is False:
        yield _no("NOT_TRADABLE", f"{intent.symbol} cannot be traded at the broker")
    if usable(exposure.multiplier) is None:
        yield _no("MULTIPLIER_UNKNOWN", "what one contract delivers is not known: an adjusted option")
    if exposure.asset_class is AssetClass.US_OPTION:
        yield from _options_level(intent, standing.options_level)
    elif intent.side is Side.SELL and (position := usable(exposure.position)) is not None and position <= 0:
        yield from _short_sale(intent, exposure)


def _short_sale(intent: OrderIntent, exposure: Exposure) -> Iterator[Reason]:
    asset = exposure.asset
    is_lent = exposure.asset_class is not AssetClass.CRYPTO and (asset is None or asset.is_shortable is not False)
    if exposure.standing.may_short is False or not is_lent:
        yield _no("NOT_SHORTABLE", f"{intent.symbol} is not held, and cannot be sold short")
    elif _is_fraction(intent):
        yield _no("NOT_SHORTABLE", f"{intent.symbol} is not held, and only whole units can be sold short")


def _is_fraction(intent: OrderIntent) -> bool:
    """Whether it is about a part of a unit; an order by notional always may be."""
    quantity = usable(intent.terms.quantity)
    return intent.terms.notional is not None or (quantity is not None and not is_whole(quantity, WHOLE))


def _steps(intent: OrderIntent, exposure: Exposure, _: Limits) -> Iterator[Reason]:
    """How much of the instrument the broker takes, and at which prices."""
    asset, terms = exposure.asset, intent.terms
    if asset is None:
        return
    if asset.is_fractionable is False and _is_fraction(intent):
        yield _no("NOT_FRACTIONABLE", f"{intent.symbol} is traded in whole units only")
    quantity, step, least = usable(terms.quantity), asset.quantity_step, asset.minimum_quantity
    if quantity is not None and step is not None and not is_whole(quantity, step):
        text = f"quantity {canonical(quantity)} is no whole number of {canonical(step)}, the broker's step"
        yield _no("QUANTITY_STEP", text)
    if quantity is not None and least is not None and quantity < least:
        yield _no("MIN_ORDER_QUANTITY", f"quantity {canonical(quantity)} is less than the broker's {canonical(least)}")
    for price in (usable(terms.limit_price), usable(terms.stop_price)):
        if price is not None and asset.price_step is not None and not is_whole(price, asset.price_step):
            text = f"price {canonical(price)} is no whole number of {canonical(asset.price_step)}, the broker's step"
            yield _no("PRICE_INCREMENT", text)


def _options_level(intent: OrderIntent, level: int | None) -> Iterator[Reason]:
    if intent.order_class is OrderClass.MULTILEG:
        needed = SPREAD_LEVEL
    else:
        needed = LONG_LEVEL if intent.side is Side.BUY else COVERED_LEVEL
    if level is not None and level < needed:
        yield _no("OPTIONS_LEVEL", f"the account has options level {level}, this order needs {needed}")


def _sides(intent: OrderIntent, exposure: Exposure, _: Limits) -> Iterator[Reason]:
    """Never both sides of a symbol at once: not as orders, not through zero, not by two strategies."""
    met = crossed(intent, exposure.opposing, exposure.opposite_orders)
    if met is not None:
        text = f"the broker refuses it while the opposite order {met.order_id} is live"
        yield _no("WOULD_CROSS_OWN_ORDER", text)
    if (left := _closable(intent, exposure)) is not None:
        yield from _through_zero(intent, exposure, left)
    for stake in exposure.stakes:
        if stake.side is not intent.side and intent.strategy and stake.strategy not in {"", intent.strategy}:
            yield _no("OPPOSITE_STRATEGY", f"strategy {stake.strategy} is on the other side of {intent.symbol}")


def _through_zero(intent: OrderIntent, exposure: Exposure, left: Decimal) -> Iterator[Reason]:
    """Opposite to what is held: an order that is not an exit must not turn the position."""
    notional, quantity = usable(intent.terms.notional), usable(intent.terms.quantity)
    price, multiplier = usable(_reference(intent, exposure)), usable(exposure.multiplier)
    if notional is None or _is_entry(intent):
        is_exit = quantity is not None and quantity <= left and not _is_entry(intent)
    elif price is None or multiplier is None:
        is_exit = True
        yield _no(PRICE_UNAVAILABLE, "whether an order by notional turns the position needs a reference_price")
    else:
        is_exit = notional <= multiply(multiply(left, price), multiplier)
    if not is_exit:
        yield _no("CROSSES_ZERO", f"{canonical(left)} {intent.symbol} can be closed: an order may not turn a position")


def _quantity(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    """A notional order buys as much as its reference price allows."""
    limit, quantity = limits.max_order_quantity, usable(intent.terms.quantity)
    if limit is None:
        return
    if quantity is not None:
        if quantity > limit:
            yield _over("MAX_ORDER_QUANTITY", "quantity", quantity, limit)
        return
    notional, price = usable(intent.terms.notional), usable(_reference(intent, exposure))
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


def _collar(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    """Prices of the order against the reference price. A MULTILEG net price may be zero: no share of it means much."""
    collar, reference = limits.price_collar_percent, usable(_reference(intent, exposure))
    prices = [price for price in (intent.terms.limit_price, intent.terms.stop_price) if price is not None]
    if collar is None or not prices or intent.order_class is OrderClass.MULTILEG:
        return
    if reference is None or reference <= 0 or any(usable(price) is None for price in prices):
        yield _no(PRICE_UNAVAILABLE, "price_collar_percent needs a reference_price")
    else:
        yield from (
            _no("PRICE_COLLAR", f"{canonical(price)} is more than {canonical(collar)} % from {canonical(reference)}")
            for price in prices
            if multiply(abs(subtract(price, reference)), PERCENT) > multiply(reference, collar)
        )


def _counts(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    most = limits.max_open_positions
    if most is not None:
        if exposure.open_symbols is None:
            yield _no(PRICE_UNAVAILABLE, "max_open_positions needs the account's positions")
        elif (count := len(exposure.open_symbols.union(_named(intent)))) > most:
            yield _no("MAX_OPEN_POSITIONS", f"it would be position {count}, the limit is {most}")
    if limits.max_open_orders is not None and exposure.open_orders >= limits.max_open_orders:
        yield _no("MAX_OPEN_ORDERS", f"{exposure.open_orders} orders are open, the limit is {limits.max_open_orders}")


def _money(intent: OrderIntent, exposure: Exposure, limits: Limits) -> Iterator[Reason]:
    if not limits.check_buying_power:
        return
    power, cost = usable(exposure.buying_power), notional_of(intent, exposure)
    if power is None or cost is None:
        what = "the broker's buying power" if power is None else "a price: send a reference_price or a limit_price"
        yield _no(PRICE_UNAVAILABLE, f"check_buying_power needs {what}")
    elif add(cost, exposure.reserved) > power:
        left = subtract(power, exposure.reserved)
        yield _no("BUYING_POWER", f"it costs {canonical(cost)}, and {canonical(left)} of the buying power is left")


_OPENING: tuple[Check, ...] = (
    _breaker,
    _symbols,
    _flags,
    _steps,
    _sides,
    _quantity,
    _notional,
    _collar,
    _counts,
    _money,
)
"""Every no to an order that opens something, in the order in which they are told."""


def _rate(exposure: Exposure, limits: Limits) -> Reason | None:
    most = limits.max_orders_per_minute
    if most is None or exposure.orders_last_minute < most:
        return None
    return _no("RATE_LIMITED", f"{exposure.orders_last_minute} orders within a minute, the limit is {most}")


def _named(intent: OrderIntent) -> list[str]:
    """The symbols an order trades; a MULTILEG parent has none of its own."""
    if not intent.legs:
        return [intent.symbol]
    return [symbol for symbol in dict.fromkeys([intent.symbol, *(leg.symbol for leg in intent.legs)]) if symbol]


def _over(code: str, what: str, value: Decimal | None, limit: Decimal) -> Reason:
    said = what if value is None else f"{what} {canonical(value)}"
    return _no(code, f"{said} is over the limit of {canonical(limit)}")


def _no(code: str, message: str) -> Reason:
    return Reason(code=code, message=message, origin=EventSource.RISK)
