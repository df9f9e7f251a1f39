"""Whose is it? A broker's order is matched by its id (any of a chain), then by client id, then as a leg of a known
parent. What matches nothing is external.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orderd.core.facts import View
from orderd.core.order import Order, OrderClass, OrderRole, OrderType

if TYPE_CHECKING:
    from orderd.core.values import OrderId

_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


class Index:
    """Orders by every name a broker may call them. Imported references are not unique and name nothing."""

    def __init__(self, orders: Iterable[Order]) -> None:
        """Sort the orders by their names."""
        self.orders: dict[OrderId, Order] = {}
        self.by_broker_id: dict[str, Order] = {}
        self.by_client_id: dict[str, Order] = {}
        self.legs: dict[OrderId, list[Order]] = {}
        for order in orders:
            self._add(order)

    def _add(self, order: Order) -> None:
        self.orders[order.order_id] = order
        for link in order.links:
            self.by_broker_id[link.broker_order_id] = order
        if order.pending_replace is not None:
            self.by_client_id[order.pending_replace.client_order_id] = order
        if order.parent_order_id is not None:
            self.legs.setdefault(order.parent_order_id, []).append(order)
        elif not order.is_external and order.intent.client_order_id:
            self.by_client_id[order.intent.client_order_id] = order


def match(view: View, index: Index, *, parent: Order | None = None) -> Order | None:
    """The order this view is about, None when it is nobody's.

    `parent` is the order whose view contained this one, when it was nested.
    """
    for broker_order_id in (view.broker_order_id, view.replaces):
        if broker_order_id in index.by_broker_id:
            return index.by_broker_id[broker_order_id]
    if view.client_order_id in index.by_client_id:
        return index.by_client_id[view.client_order_id]
    if parent is None and view.parent_broker_order_id:
        parent = index.by_broker_id.get(view.parent_broker_order_id)
    if parent is None:
        return None
    return leg_of(view, index.legs.get(parent.order_id, ()))


def leg_of(view: View, legs: Sequence[Order]) -> Order | None:
    """Which of a parent's legs, still without a broker id, this view is: by symbol and side, then by what it does."""
    free = [leg for leg in sorted(legs, key=lambda o: o.leg_number) if not leg.links]
    for leg in free:
        if leg.intent.symbol == view.symbol and leg.intent.side in {view.side, None} and _fits(leg, view):
            return leg
    return None


def _fits(leg: Order, view: View) -> bool:
    """A bracket's legs share symbol and side: the stop is told from the limit by its type."""
    if leg.intent.role is None or view.terms is None:
        return True
    if leg.intent.role is OrderRole.STOP_LOSS:
        return view.terms.type in _STOPS
    if leg.intent.role is OrderRole.TAKE_PROFIT:
        return view.terms.type is OrderType.LIMIT
    return True


def is_withheld(view: View, index: Index) -> bool:
    """Whether it may be a leg of a complex order that the broker has not acknowledged yet: that one is read first."""
    return any(
        view.symbol in _symbols(order)
        for order in index.orders.values()
        if order.is_open and not order.links and order.intent.order_class is not OrderClass.SIMPLE
    )


def _symbols(order: Order) -> set[str]:
    return {order.intent.symbol, *(leg.symbol for leg in order.intent.legs)} - {""}
