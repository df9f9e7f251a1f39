"""The ends of a trade's orders in the log, by their fixed names, once each."""

from collections import OrderedDict

import structlog

from orderd.core.order import Order, OrderState
from orderd.core.values import OrderId, canonical

log = structlog.get_logger("orderd.desk")

MOST_REMEMBERED = 10_000
_EVENTS = {
    OrderState.FILLED: "order_filled",
    OrderState.CANCELED: "order_canceled",
    OrderState.EXPIRED: "order_canceled",
    OrderState.REJECTED: "order_rejected",
}


class OrderEnds:
    """Tells of each end of an order once: an order changes after its end, too."""

    def __init__(self) -> None:
        """Nothing is told of what ended before this process began to listen."""
        self._told: OrderedDict[OrderId, OrderState] = OrderedDict()

    def tell(self, order: Order) -> None:
        """Log the end of an order of a trade, if this is one that was not told yet."""
        event = _EVENTS.get(order.state)
        if event is None or self._told.get(order.order_id) is order.state:
            return
        self._told[order.order_id] = order.state
        if len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)
        average = order.average_fill_price
        log.info(
            event,
            order_id=order.order_id,
            broker_order_id=order.broker_order_id,
            trade_id=order.intent.trade_id,
            trace_id=order.intent.trace_id,
            symbol=order.intent.symbol,
            role=order.intent.role,
            status=order.state,
            filled_quantity=canonical(order.filled_quantity),
            average_fill_price=None if average is None else canonical(average),
            reason=None if order.reason is None else order.reason.message,
        )
