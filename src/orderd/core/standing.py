"""Whether a difference that was found once is still there, now that the broker's order was read again."""

import msgspec

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import View
from orderd.core.order import BrokerLink, Order, Phase
from orderd.core.reconcile import differences, is_comparable
from orderd.core.settle import ENDS, fits_chain, missing

_FIGURES = frozenset({DiscrepancyKind.STATE_DIFFERS, DiscrepancyKind.QUANTITY_DIFFERS, DiscrepancyKind.AVERAGE_DIFFERS})
_EXECUTIONS = frozenset({DiscrepancyKind.EXECUTION_OVERLAPS, DiscrepancyKind.EXECUTION_CHANGED})


def stands(kind: DiscrepancyKind, order: Order, view: View) -> bool | None:
    """Judge a difference between an order and its broker's view; None when this view proves nothing about it.

    The view has been brought in before: the order is as its report left it.
    """
    link = order.link(view.broker_order_id)
    if link is None or link is not order.links[-1] or not is_comparable(order, view):
        return None
    # What the broker counted once and counts no more (a bust nobody heard of) is missing no more either.
    link = msgspec.structs.replace(link, phase=view.phase, reported_quantity=view.filled_quantity)
    if kind in _FIGURES:
        return any(found.kind is kind for found in differences(order, view))
    if kind in _EXECUTIONS and len(order.links) == 1:
        # Which execution was right cannot be told; that the totals agree can, unless a replace chain hides them.
        return missing(order, link) or any(True for _ in differences(order, view))
    return _stands(kind, order, link, view)


def _stands(kind: DiscrepancyKind, order: Order, link: BrokerLink, view: View) -> bool | None:
    """The kinds that have a question of their own."""
    match kind:
        case DiscrepancyKind.EXECUTIONS_MISSING | DiscrepancyKind.PRICE_MISSING:
            # An ended successor's figure that is the whole chain's: the executions were asked for when this was found.
            return missing(order, link) and not fits_chain(order, link)
        case DiscrepancyKind.FILLED_SHORT:
            return view.phase is Phase.FILLED and order.is_open
        case DiscrepancyKind.ENDED_BUT_LIVE:
            return not order.is_open and view.phase not in ENDS
        case DiscrepancyKind.ORDER_VANISHED:
            return False
        case _:
            return None
