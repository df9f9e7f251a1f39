"""Legs whose parent ended before the broker named them: they end with it, never before it."""

from orderd.core.facts import Fact, GaveUp, Refused
from orderd.core.order import Order, OrderState
from orderd.core.values import BrokerOrderId, OrderId
from orderd.engine.account import ENGINE, Account
from orderd.engine.reader import Reader
from orderd.ports import Found

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


class Legs:
    """Ends one account's orphaned legs."""

    def __init__(self, account: Account, reader: Reader) -> None:
        """A parent that has a broker id is read first: it may name its legs."""
        self._account = account
        self._reader = reader

    def watch(self, order: Order) -> None:
        """See a parent that has ended."""
        if not order.is_open and order.leg_order_ids and self._orphans(order):
            self._account.tasks.start_once(lambda: self._end(order.order_id), "legs", order.order_id)

    def sweep(self) -> None:
        """See every open leg: at start, a crash may lie between a parent's end and its legs'."""
        for leg in self._account.blotter.open(self._account.account_id):
            if leg.parent_order_id is not None and not leg.links:
                parent = self._account.blotter.get(leg.parent_order_id)
                if parent is not None:
                    self.watch(parent)

    def _orphans(self, parent: Order) -> list[Order]:
        return [leg for leg in self._account.legs(parent) if leg.is_open and not leg.links]

    async def _end(self, order_id: OrderId) -> None:
        parent = self._account.blotter.get(order_id)
        if parent is None or parent.is_open:
            return
        if parent.broker_order_id is not None and not await self._is_read(parent.broker_order_id):
            return
        for leg in self._orphans(parent):
            await self._account.take(leg, self._fact(parent, leg))

    async def _is_read(self, broker_order_id: BrokerOrderId) -> bool:
        """Read the parent until the broker has answered: silence about a leg is no end of it."""
        tries = 0
        while not self._account.is_stopping:
            if isinstance(await self._reader.read(broker_order_id), Found):
                return True
            await self._account.pause(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            tries += 1
        return False

    def _fact(self, parent: Order, leg: Order) -> Fact:
        """The parent's own end, as far as the leg's state allows the same word."""
        at, reason = self._account.clock.now(), parent.reason
        code = reason.code if reason is not None else parent.state
        message = reason.message if reason is not None and reason.message else f"its parent is {parent.state}"
        if parent.state is OrderState.REJECTED and leg.state is not OrderState.CREATED:
            return Refused(at=at, source=parent.closed_by or ENGINE, code=code, message=message)
        return GaveUp(at=at, source=ENGINE, code=code, message=message)
