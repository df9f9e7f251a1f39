"""Request bodies, built here so that no decimal ever passes through a float (the SDK's request models make floats).

Decimals are strings without exponent; a field that was not asked for is not sent.
"""

from decimal import Decimal

import msgspec

from orderd.brokers.alpaca.symbols import to_alpaca
from orderd.brokers.alpaca.words import CLASS_WORDS, word
from orderd.core.order import LegIntent, Order, OrderClass, OrderIntent, OrderType, Terms
from orderd.core.values import canonical

Body = dict[str, object]


def submit(order: Order) -> bytes:
    """Return the POST body of this order."""
    intent, terms = order.intent, order.terms
    body: Body = {}
    if intent.symbol:
        body["symbol"] = to_alpaca(intent.symbol)
    body |= _amount(terms)
    if intent.side is not None:
        body["side"] = word(intent.side)
    body |= {"type": word(terms.type), "time_in_force": word(terms.time_in_force)}
    body |= _prices(terms, intent.order_class)
    if terms.extended_hours:
        body["extended_hours"] = True
    body["client_order_id"] = intent.client_order_id
    if intent.position_intent is not None:
        body["position_intent"] = word(intent.position_intent)
    body |= _class(intent, terms)
    return msgspec.json.encode(body)


def _amount(terms: Terms) -> Body:
    body: Body = {}
    if terms.quantity is not None:
        body["qty"] = canonical(terms.quantity)
    if terms.notional is not None:
        body["notional"] = canonical(terms.notional)
    return body


def _prices(terms: Terms, order_class: OrderClass) -> Body:
    """Return the prices; the limit of an OCO travels as its take-profit only."""
    named = {
        "limit_price": None if order_class is OrderClass.OCO else terms.limit_price,
        "stop_price": terms.stop_price,
        "trail_price": terms.trail_price,
        "trail_percent": terms.trail_percent,
    }
    return {name: canonical(value) for name, value in named.items() if value is not None}


def _class(intent: OrderIntent, terms: Terms) -> Body:
    if intent.order_class is OrderClass.SIMPLE:
        return {}
    body: Body = {"order_class": CLASS_WORDS[intent.order_class]}
    profit = take_profit(intent, terms)
    if profit is not None:
        body["take_profit"] = {"limit_price": canonical(profit)}
    if intent.stop_loss is not None:
        stop: Body = {"stop_price": canonical(intent.stop_loss.stop_price)}
        if intent.stop_loss.limit_price is not None:
            stop["limit_price"] = canonical(intent.stop_loss.limit_price)
        body["stop_loss"] = stop
    if intent.legs:
        body["legs"] = [_leg(leg) for leg in intent.legs]
    return body


def take_profit(intent: OrderIntent, terms: Terms) -> Decimal | None:
    """Return the price of the take-profit: of an OCO the limit price says the same."""
    if intent.take_profit is None and intent.order_class is OrderClass.OCO:
        return terms.limit_price
    return intent.take_profit


def _leg(leg: LegIntent) -> Body:
    body: Body = {"symbol": to_alpaca(leg.symbol), "ratio_qty": canonical(leg.ratio), "side": word(leg.side)}
    if leg.position_intent is not None:
        body["position_intent"] = word(leg.position_intent)
    return body


def replace(old: Terms, new: Terms, client_order_id: str) -> bytes:
    """Return the PATCH body: what differs, and the replacement's own client id (absent fields are kept)."""
    body: Body = {}
    for name, before, after in (
        ("qty", old.quantity, new.quantity),
        ("limit_price", old.limit_price, new.limit_price),
        ("stop_price", old.stop_price, new.stop_price),
        ("trail", trail(old), trail(new)),
    ):
        if after is not None and after != before:
            body[name] = canonical(after)
    if new.time_in_force is not old.time_in_force:
        body["time_in_force"] = word(new.time_in_force)
    body["client_order_id"] = client_order_id
    return msgspec.json.encode(body)


def trail(terms: Terms) -> Decimal | None:
    """Return the trail, whichever way it is measured."""
    if terms.type is not OrderType.TRAILING_STOP:
        return None
    return terms.trail_price if terms.trail_price is not None else terms.trail_percent
