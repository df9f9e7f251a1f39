"""The figures of a MULTILEG parent across a replace chain. It makes no fills: they are the broker's, of each link.

Whether a successor counts from zero or from its elders' total is not documented. The legs tell: their executions are
booked one by one, under ids of their own that a replace of the parent does not change.
"""

from collections.abc import Sequence
from decimal import Decimal

from orderd.core.book import total
from orderd.core.order import BrokerLink, Order
from orderd.core.values import EXACT, multiply


def strategies(parent: Order, legs: Sequence[Order]) -> Decimal | None:
    """How many whole strategies the booked executions of the legs make; None when not every leg is known."""
    ratios = [leg.ratio for leg in parent.intent.legs]
    filled = {leg.leg_number: leg.filled_quantity for leg in legs}
    if not ratios or filled.keys() != set(range(1, len(ratios) + 1)):
        return None
    return min(EXACT.divide_int(filled[number], ratio) for number, ratio in enumerate(ratios, start=1))


def figures(order: Order, link: BrokerLink, legs_traded: Decimal | None) -> tuple[Decimal, Decimal] | None:
    """(quantity, value) of the parent, with `link` as it was just heard; None while a price is missing.

    The figures of all links are added up when the legs have traded as much: then none of them is counted twice. Until
    then this link's own figure is believed, which is never too much.
    """
    links = [link if each.broker_order_id == link.broker_order_id else each for each in order.links]
    summed = total(each.reported_quantity for each in links)
    if legs_traded is not None and link.reported_quantity < summed <= legs_traded:
        return _valued(links)
    return _valued([link])


def _valued(links: Sequence[BrokerLink]) -> tuple[Decimal, Decimal] | None:
    counting = [(link.reported_quantity, link.reported_average) for link in links if link.reported_quantity]
    priced = [(quantity, average) for quantity, average in counting if average is not None]
    if not priced or len(priced) < len(counting):
        return None
    return total(quantity for quantity, _ in priced), total(multiply(quantity, price) for quantity, price in priced)


def is_own_share(order: Order, quantity: Decimal) -> bool:
    """Whether this figure of a parent's current link and what its elders were told to have traded are its total."""
    elders = total(link.reported_quantity for link in order.links[:-1])
    return order.is_parent_of_legs and elders + quantity == order.filled_quantity
