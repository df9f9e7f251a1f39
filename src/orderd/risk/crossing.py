"""Whether an order could trade with an own one: brokers refuse that as a wash trade.

Alpaca's rule (reference, section 6; brokers.md): against a resting market or stop order always, limit against limit by
price; trailing stops and complex orders are exempt, on either side.
"""

from collections.abc import Iterable

from orderd.core.order import Order, OrderClass, OrderIntent, OrderType, Side, Terms
from orderd.risk.limits import OppositeOrders


def crossed(intent: OrderIntent, opposing: Iterable[Order], rule: OppositeOrders) -> Order | None:
    """The own live order of the other side that the broker would refuse this one for."""
    if rule is OppositeOrders.ALLOWED:
        return None
    if rule is OppositeOrders.REFUSED:
        return next(iter(opposing), None)
    if _is_exempt(intent, intent.terms):
        return None
    for other in opposing:
        if not _is_exempt(other.intent, other.terms) and _meet(intent, other.terms):
            return other
    return None


def _is_exempt(intent: OrderIntent, terms: Terms) -> bool:
    return intent.order_class is not OrderClass.SIMPLE or terms.type is OrderType.TRAILING_STOP


def _meet(intent: OrderIntent, other: Terms) -> bool:
    """Two limits meet when the buyer would pay what the seller asks; everything else may trade at any price."""
    price, theirs = intent.terms.limit_price, other.limit_price
    is_priced = intent.terms.type is OrderType.LIMIT and other.type is OrderType.LIMIT
    if not is_priced or price is None or theirs is None:
        return True
    return theirs <= price if intent.side is Side.BUY else price <= theirs
