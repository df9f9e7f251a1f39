"""Parents and their legs, where one tells about the other.

Legs whose parent ended before the broker named them end with it, never before it. A spread that was replaced is read
again when its legs have traded more than it shows: its broker's figures are one for each broker order.
"""

from orderd.core.facts import Fact, GaveUp, Refused, View
from orderd.core.order import Order, OrderClass, OrderState
from orderd.core.spreads import strategies
from orderd.core.values import BrokerOrderId, OrderId
from orderd.engine.account import ENGINE, Account
from orderd.engine.reader import Reader
from orderd.ports import Found

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


class Legs:
    """Ends one account's orphaned legs, and has its spreads follow what their legs trade."""

    def __init__(self, account: Account, reader: Reader) -> None:
        """A parent that has a broker id is read first: it may name its legs."""
        self._account = account
        self._reader = reader

    def watch(self, order: Order) -> None:
        """See a parent that has ended, and a spread or a leg of one that has traded."""
        if not order.is_open and order.leg_order_ids and self._orphans(order):
            self._account.tasks.start_once(lambda: self._end(order.order_id), "legs", order.order_id)
        if order.intent.order_class is OrderClass.MULTILEG:
            parent = order if order.parent_order_id is None else self._account.blotter.get(order.parent_order_id)
            if parent is not None and self._is_behind(parent):
                self._account.tasks.start_once(lambda: self._read_chain(parent), "spread", parent.order_id)

    def sweep(self) -> None:
        """See every open leg: at start, a crash may lie between a parent's end and its legs'."""
        for leg in self._account.blotter.open(self._account.account_id):
            if leg.parent_order_id is not None and not leg.links:
                parent = self._account.blotter.get(leg.parent_order_id)
                if parent is not None:
                    self.watch(parent)

    def _orphans(self, parent: Order) -> list[Order]:
        return [leg for leg in self._account.legs(parent) if leg.is_open and not leg.links]

    def _is_behind(self, parent: Order) -> bool:
        """Whether its legs have traded more than a spread of several broker orders shows."""
        if len(parent.links) < 2:  # noqa: PLR2004 - one broker order has one figure
            return False
        legs_traded = strategies(parent, self._account.legs(parent))
        return legs_traded is not None and legs_traded > parent.filled_quantity

    async def _read_chain(self, parent: Order) -> None:
        """Read each broker order of its chain: what an elder had traded at its end may not have been told."""
        reads = [await self._reader.read(link.broker_order_id) for link in parent.links]
        if not all(isinstance(read, Found) for read in reads):
            self._account.reconcile_wanted.set()

    async def _end(self, order_id: OrderId) -> None:
        parent = self._account.blotter.get(order_id)
        if parent is None or parent.is_open:
            return
        if parent.broker_order_id is not None and not await self._is_read(parent, parent.broker_order_id):
            return
        for leg in self._orphans(parent):
            await self._account.take(leg, self._fact(parent, leg))

    async def _is_read(self, parent: Order, broker_order_id: BrokerOrderId) -> bool:
        """Read the parent until the broker has answered, and all that it names is known: silence is no leg's end.

        A leg that somebody has replaced meanwhile is named by its successor only, and bound when its elder was read.
        """
        tries = 0
        while not self._account.is_stopping:
            read = await self._reader.read(broker_order_id)
            if isinstance(read, Found) and all(self._is_ours(parent, leg) for leg in read.view.legs):
                return True
            await self._account.pause(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            tries += 1
        return False

    def _is_ours(self, parent: Order, leg: View) -> bool:
        """Whether a broker order that a parent names is bound to a leg of it, not taken for a stranger's."""
        order_id = self._account.blotter.by_broker_id(self._account.account_id, leg.broker_order_id)
        return order_id in parent.leg_order_ids

    def _fact(self, parent: Order, leg: Order) -> Fact:
        """The parent's own end, as far as the leg's state allows the same word."""
        at, reason = self._account.clock.now(), parent.reason
        code = reason.code if reason is not None else parent.state
        message = reason.message if reason is not None and reason.message else f"its parent is {parent.state}"
        if parent.state is OrderState.REJECTED and leg.state is not OrderState.CREATED:
            return Refused(at=at, source=parent.closed_by or ENGINE, code=code, message=message)
        return GaveUp(at=at, source=ENGINE, code=code, message=message)
