"""What Alpaca can take, as data and as complaints. Source: the reference's chapters on requests and on rules.

Each rule is a small function that returns the complaint or nothing; `complaint` asks them in turn. A complaint begins
with the rule's name, so that a refusal here can be searched for.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from math import gcd

import msgspec

from orderd.brokers.alpaca.bodies import take_profit, trail
from orderd.brokers.alpaca.symbols import is_spelled
from orderd.core.order import (
    AssetClass,
    LegIntent,
    Order,
    OrderClass,
    OrderIntent,
    OrderType,
    Side,
    Terms,
    TimeInForce,
)
from orderd.core.values import subtract
from orderd.ports import Capabilities, Lookup, Refusal
from orderd.risk.limits import OppositeOrders

CLIENT_ORDER_ID_LIMIT = 128
QUANTITY_PLACES = 9
_ONE = Decimal(1)
_CENT = Decimal("0.01")
_LEGS_MIN, _LEGS_MAX = 2, 4

_ALL_TYPES = frozenset(OrderType)
_PLAIN_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})
_DAY_OR_GTC = frozenset({TimeInForce.DAY, TimeInForce.GTC})

_TYPES = {
    AssetClass.US_EQUITY: _ALL_TYPES,
    AssetClass.US_OPTION: _PLAIN_TYPES,
    AssetClass.CRYPTO: frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_LIMIT}),
}
_TIMES = {
    AssetClass.US_EQUITY: frozenset(TimeInForce),
    AssetClass.US_OPTION: frozenset({TimeInForce.DAY}),
    AssetClass.CRYPTO: frozenset({TimeInForce.GTC, TimeInForce.IOC}),
}
_CLASSES = {
    AssetClass.US_EQUITY: frozenset({OrderClass.SIMPLE, OrderClass.BRACKET, OrderClass.OCO, OrderClass.OTO}),
    AssetClass.US_OPTION: frozenset({OrderClass.SIMPLE, OrderClass.MULTILEG}),
    AssetClass.CRYPTO: frozenset({OrderClass.SIMPLE}),
}
_SPLIT_TYPES: dict[AssetClass, frozenset[OrderType]] = {
    AssetClass.US_EQUITY: _ALL_TYPES - {OrderType.TRAILING_STOP},
    AssetClass.US_OPTION: frozenset(),
    AssetClass.CRYPTO: _TYPES[AssetClass.CRYPTO],
}
_SPLIT_TIMES: dict[AssetClass, frozenset[TimeInForce]] = {
    AssetClass.US_EQUITY: frozenset({TimeInForce.DAY}),
    AssetClass.US_OPTION: frozenset(),
    AssetClass.CRYPTO: _TIMES[AssetClass.CRYPTO],
}
"""Of orders about a part of a share, or a coin: the reference's table of types, classes and times."""
_PLACES = {AssetClass.US_EQUITY: QUANTITY_PLACES, AssetClass.US_OPTION: 0, AssetClass.CRYPTO: QUANTITY_PLACES}


def capabilities(asset_class: AssetClass, *, settle_s: float, requests_per_minute: int) -> Capabilities:
    """Return what Alpaca can do for this asset class."""
    return Capabilities(
        duplicate_refusal=Refusal.FOR_EVER,
        lookup=Lookup.YES,
        has_execution_ids=True,
        settle_s=settle_s,
        can_replace=True,
        can_replace_quantity=True,
        order_types=_TYPES[asset_class],
        times_in_force=_TIMES[asset_class],
        order_classes=_CLASSES[asset_class],
        client_order_id_limit=CLIENT_ORDER_ID_LIMIT,
        quantity_places=_PLACES[asset_class],
        requests_per_minute=requests_per_minute,
        opposite_orders=OppositeOrders.PRICE_RULE,
        split_types=_SPLIT_TYPES[asset_class],
        split_times=_SPLIT_TIMES[asset_class],
        can_replace_splits=False,
        takes_extended_hours=asset_class is AssetClass.US_EQUITY,
    )


def complaint(order: Order) -> str:
    """Return the first rule this order breaks, or empty."""
    return _first(_RULES, order)


def _first(asked: tuple[Callable[[Order], str], ...], order: Order) -> str:
    for rule in asked:
        if found := rule(order):
            return found
    return ""


# ------------------------------------------------------------------------------------------------------- who and what


def _client_order_id(order: Order) -> str:
    if not 1 <= len(order.intent.client_order_id) <= CLIENT_ORDER_ID_LIMIT:
        return f"CLIENT_ORDER_ID: Alpaca takes 1 to {CLIENT_ORDER_ID_LIMIT} characters"
    return ""


def _symbol(order: Order) -> str:
    intent = order.intent
    if intent.order_class is OrderClass.MULTILEG:
        if intent.symbol or intent.side is not None or intent.position_intent is not None:
            return "MULTILEG_PARENT: symbol, side and position intent belong to the legs"
        return ""
    if not is_spelled(intent.symbol, order.asset_class):
        return f"SYMBOL: {intent.symbol!r} is not a symbol of {order.asset_class}"
    return "" if intent.side is not None else "SIDE: a side is required"


def _table(order: Order) -> str:
    asset, terms = order.asset_class, order.terms
    if terms.type not in _TYPES[asset]:
        return f"ORDER_TYPE: Alpaca takes no {terms.type} order for {asset}"
    if terms.time_in_force not in _TIMES[asset]:
        return f"TIME_IN_FORCE: Alpaca takes no {terms.time_in_force} for {asset}"
    if order.intent.order_class not in _CLASSES[asset]:
        return f"ORDER_CLASS: Alpaca takes no {order.intent.order_class} order for {asset}"
    is_brief = asset is AssetClass.US_EQUITY and terms.time_in_force not in _DAY_OR_GTC
    if is_brief and terms.type not in _PLAIN_TYPES:
        return f"TIME_IN_FORCE: {terms.time_in_force} takes market or limit orders only"
    return ""


# -------------------------------------------------------------------------------------------------------------- amount


def _quantity(order: Order) -> str:
    quantity, notional = order.terms.quantity, order.terms.notional
    if (quantity is None) == (notional is None):
        return "QUANTITY: exactly one of quantity and notional is required"
    if quantity is None:
        return ""
    if quantity <= 0:
        return "QUANTITY: it must be positive"
    allowed = _PLACES[order.asset_class]
    if places(quantity) > allowed:
        return f"QUANTITY: at most {allowed} decimals for {order.asset_class}"
    return ""


def _notional(order: Order) -> str:
    terms = order.terms
    if terms.notional is None:
        return ""
    if order.asset_class is AssetClass.US_OPTION or order.intent.order_class is not OrderClass.SIMPLE:
        return "NOTIONAL: only simple orders of equities and crypto"
    if terms.type is not OrderType.MARKET:
        return "NOTIONAL: market orders only"
    if order.asset_class is AssetClass.US_EQUITY and terms.time_in_force is not TimeInForce.DAY:
        return "NOTIONAL: day orders only"
    if terms.notional < _ONE:
        return "NOTIONAL: at least 1 dollar"
    return "" if places(terms.notional) <= QUANTITY_PLACES else f"NOTIONAL: at most {QUANTITY_PLACES} decimals"


def _fractional(order: Order) -> str:
    terms = order.terms
    if order.asset_class is not AssetClass.US_EQUITY or terms.quantity is None or places(terms.quantity) == 0:
        return ""
    if order.intent.order_class is not OrderClass.SIMPLE:
        return "FRACTIONAL: simple orders only"
    if terms.time_in_force not in _SPLIT_TIMES[order.asset_class]:
        return "FRACTIONAL: day orders only"
    return "" if terms.type in _SPLIT_TYPES[order.asset_class] else "FRACTIONAL: no trailing stops"


# -------------------------------------------------------------------------------------------------------------- prices


def _required_prices(order: Order) -> str:
    terms, intent = order.terms, order.intent
    wants_limit = terms.type in {OrderType.LIMIT, OrderType.STOP_LIMIT}
    # The limit of an OCO may be given as its take-profit.
    has_limit = terms.limit_price is not None or (
        intent.order_class is OrderClass.OCO and intent.take_profit is not None
    )
    if wants_limit != has_limit:
        return f"LIMIT_PRICE: {'required' if wants_limit else 'not allowed'} for a {terms.type} order"
    wants_stop = terms.type in {OrderType.STOP, OrderType.STOP_LIMIT}
    if wants_stop != (terms.stop_price is not None):
        return f"STOP_PRICE: {'required' if wants_stop else 'not allowed'} for a {terms.type} order"
    return ""


def _trail(order: Order) -> str:
    terms = order.terms
    given = [value for value in (terms.trail_price, terms.trail_percent) if value is not None]
    if terms.type is not OrderType.TRAILING_STOP:
        return "TRAIL: only for trailing stops" if given else ""
    if len(given) != 1:
        return "TRAIL: exactly one of trail price and trail percent is required"
    if given[0] <= 0:
        return "TRAIL: it must be positive"
    if order.intent.order_class is not OrderClass.SIMPLE:
        return "TRAIL: simple orders only"
    return "" if terms.time_in_force in _DAY_OR_GTC else "TRAIL: day or gtc only"


def _ticks(order: Order) -> str:
    is_multileg = order.intent.order_class is OrderClass.MULTILEG
    for name, price in _prices_of(order.intent, order.terms):
        if price <= 0 and not is_multileg:
            return f"PRICE: {name} must be positive"
        if order.asset_class is AssetClass.US_EQUITY and (found := sub_penny(name, price)):
            return found
    return ""


def sub_penny(name: str, price: Decimal) -> str:
    """Complain of an equity price finer than its tick: 2 decimals from 1 dollar on, 4 below."""
    allowed = 2 if price >= _ONE else 4
    return "" if places(price) <= allowed else f"SUB_PENNY: {name} {price:f} has more than {allowed} decimals"


def _prices_of(intent: OrderIntent, terms: Terms) -> Iterator[tuple[str, Decimal]]:
    stop = intent.stop_loss
    named = (
        ("limit_price", terms.limit_price),
        ("stop_price", terms.stop_price),
        ("take_profit", intent.take_profit),
        ("stop_loss.stop_price", stop.stop_price if stop else None),
        ("stop_loss.limit_price", stop.limit_price if stop else None),
    )
    for name, price in named:
        if price is not None:
            yield name, price


# ------------------------------------------------------------------------------------------------------------- classes


def _simple(order: Order) -> str:
    intent = order.intent
    if intent.order_class is OrderClass.SIMPLE and (intent.take_profit is not None or intent.stop_loss):
        return "SIMPLE: take-profit and stop-loss need a bracket, OCO or OTO"
    if intent.order_class is not OrderClass.MULTILEG and intent.legs:
        return "LEGS: only a multi-leg order has legs"
    return ""


def _bracket(order: Order) -> str:
    intent, terms = order.intent, order.terms
    if intent.order_class not in {OrderClass.BRACKET, OrderClass.OCO, OrderClass.OTO}:
        return ""
    name = intent.order_class.value
    profit, stop = take_profit(intent, terms), intent.stop_loss
    if intent.order_class is OrderClass.OTO and (profit is None) == (stop is None):
        return "OTO: exactly one of take-profit and stop-loss is required"
    if intent.order_class is not OrderClass.OTO and (profit is None or stop is None):
        return f"{name}: take-profit and stop-loss are both required"
    wanted = frozenset({OrderType.LIMIT}) if intent.order_class is OrderClass.OCO else _PLAIN_TYPES
    if terms.type not in wanted:
        return f"{name}: a {terms.type} order cannot be its entry"
    return "" if terms.time_in_force in _DAY_OR_GTC else f"{name}: day or gtc only"


def _oco_limit(order: Order) -> str:
    intent, limit = order.intent, order.terms.limit_price
    if intent.order_class is OrderClass.OCO and None not in {limit, intent.take_profit}:
        return "" if limit == intent.take_profit else "OCO: limit price and take-profit are one price"
    return ""


def _price_relation(order: Order) -> str:
    """Check that each exit lies at least a cent beyond the base: the entry's limit, or an OCO's other exit."""
    intent, terms = order.intent, order.terms
    stop = intent.stop_loss.stop_price if intent.stop_loss else None
    profit = take_profit(intent, terms)
    # The exits of an OCO have the side of the order, those of an entry the opposite one.
    is_long = (intent.side is Side.BUY) != (intent.order_class is OrderClass.OCO)
    base = None if intent.order_class is OrderClass.OCO else terms.limit_price
    name = intent.order_class.value
    if base is not None and profit is not None and _gain(base, profit, is_long=is_long) < _CENT:
        return f"{name}: the take-profit must be at least 0.01 beyond the entry"
    if base is not None and stop is not None and _gain(stop, base, is_long=is_long) < _CENT:
        return f"{name}: the stop-loss must be at least 0.01 short of the entry"
    if profit is not None and stop is not None and _gain(stop, profit, is_long=is_long) < _CENT:
        return f"{name}: stop-loss and take-profit are on the wrong sides of each other"
    return ""


def _gain(start: Decimal, end: Decimal, *, is_long: bool) -> Decimal:
    return subtract(end, start) if is_long else subtract(start, end)


def _multileg(order: Order) -> str:
    intent = order.intent
    if intent.order_class is not OrderClass.MULTILEG:
        return ""
    if not _LEGS_MIN <= len(intent.legs) <= _LEGS_MAX:
        return f"MULTILEG: {_LEGS_MIN} to {_LEGS_MAX} legs"
    if len({leg.symbol for leg in intent.legs}) != len(intent.legs):
        return "MULTILEG: every leg needs its own symbol"
    if intent.take_profit is not None or intent.stop_loss is not None:
        return "MULTILEG: no take-profit and no stop-loss"
    return _ratios(intent.legs)


def _ratios(legs: tuple[LegIntent, ...]) -> str:
    for leg in legs:
        if not is_spelled(leg.symbol, AssetClass.US_OPTION):
            return f"MULTILEG: {leg.symbol!r} is not an option"
        if leg.ratio <= 0 or places(leg.ratio) > 0:
            return "MULTILEG: ratios are positive whole numbers"
    return "" if gcd(*(int(leg.ratio) for leg in legs)) == 1 else "MULTILEG: ratios must be in lowest terms"


def _extended_hours(order: Order) -> str:
    terms = order.terms
    if not terms.extended_hours:
        return ""
    if order.asset_class is not AssetClass.US_EQUITY or order.intent.order_class is not OrderClass.SIMPLE:
        return "EXTENDED_HOURS: simple orders of equities only"
    if terms.type is not OrderType.LIMIT or terms.time_in_force not in _DAY_OR_GTC:
        return "EXTENDED_HOURS: limit orders, day or gtc, only"
    return ""


# ------------------------------------------------------------------------------------------------------------- replace


def replace_complaint(order: Order, new: Terms) -> str:
    """Return why Alpaca cannot change this order's terms to these, or empty."""
    old = order.terms
    if old.notional is not None or new.notional is not None:
        return "REPLACE_NOTIONAL: a notional order cannot be replaced"
    if (old.type, old.extended_hours) != (new.type, new.extended_hours):
        return "REPLACE_TYPE: order type and extended hours cannot change"
    if (old.trail_price is None) != (new.trail_price is None):
        return "REPLACE_TRAIL: a trail cannot change between price and percent"
    pairs = (
        (old.quantity, new.quantity),
        (old.limit_price, new.limit_price),
        (old.stop_price, new.stop_price),
        (trail(old), trail(new)),
    )
    if any(before is not None and after is None for before, after in pairs):
        return "REPLACE_PRICE: a price or quantity cannot be taken away"
    if found := _replace_quantity(old.quantity, new.quantity):
        return found
    return _first(_TERMS_RULES, msgspec.structs.replace(order, terms=new))


def _replace_quantity(old: Decimal | None, new: Decimal | None) -> str:
    if old is None or new is None or old == new:
        return ""
    return "REPLACE_FRACTIONAL: a fractional quantity cannot change" if places(old) or places(new) else ""


def places(value: Decimal) -> int:
    """Return how many decimals it needs."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return QUANTITY_PLACES + 1
    digits = value.as_tuple().digits
    while exponent < 0 and digits and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    return max(-exponent, 0) if any(digits) else 0


_RULES: tuple[Callable[[Order], str], ...] = (
    _client_order_id,
    _symbol,
    _table,
    _quantity,
    _notional,
    _fractional,
    _simple,
    _bracket,
    _oco_limit,
    _required_prices,
    _trail,
    _ticks,
    _price_relation,
    _multileg,
    _extended_hours,
)
_TERMS_RULES: tuple[Callable[[Order], str], ...] = (_table, _quantity, _fractional, _trail, _ticks)
"""Those that are about the terms alone, whatever the order hangs on."""
