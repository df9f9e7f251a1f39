"""What is not done for a trade while there may have been a split that nobody has told of. Pure.

Rule: a stop at a price from before a split sells at once. So nothing is sent while the broker's quantity and the market
look like one, and what the broker itself has made of a stop is not undone.
"""

from collections.abc import Iterator
from decimal import Decimal

from orderd.core.order import Order
from orderd.core.trade import Trade, is_of_before
from orderd.core.trade_steps import ReadPosition, Step, Wait, World
from orderd.core.values import multiply, subtract

LOOK_S = 2
"""Between two looks at what only the broker's position can tell."""
SAME_VALUE = Decimal("0.01")
"""A stop that a broker has changed for a split is worth the same, but for the rounding to a tick."""


def split_suspected(world: World) -> Iterator[Step]:
    """A stop at a price from before a split would sell at once, and so would an exit in its place."""
    if world.is_split_suspected:
        if world.held is None:
            yield ReadPosition()
        text = "the broker holds what the fills do not say, as after a split: nothing is sent until it is explained"
        yield Wait(seconds=Decimal(LOOK_S), alarm=text)


def restated_by_broker(trade: Trade, live: list[Order], target: Decimal) -> Iterator[Step]:
    """More at a lower price, or less at a higher one, worth the same: a broker's change for a split is not undone."""
    for stop in live:
        price, leaves = stop.terms.stop_price, stop.leaves_quantity
        is_other = price != trade.stop_price and leaves != target and not is_of_before(trade, stop)
        if price is None or leaves is None or not is_other or len(live) > 1:
            continue
        wanted = multiply(target, trade.stop_price)
        if subtract(multiply(leaves, price), wanted).copy_abs() <= multiply(wanted, SAME_VALUE):
            text = f"the broker has changed the stop to {leaves} at {price}, as for a split: it is left so"
            yield Wait(seconds=Decimal(LOOK_S), alarm=text)
