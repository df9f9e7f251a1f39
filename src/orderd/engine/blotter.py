"""The orders the engine works with: every open one in memory, ended ones for a while, the rest from the journal.

Rule: only committed orders stand here. Waiters are told after the commit, in the order of commits.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from orderd.core.order import Order, Side
from orderd.core.values import ZERO, OrderId, subtract
from orderd.ports import Journal

KEEP_ENDED = 2_000
"""Ended orders kept in memory for late words; older ones are loaded from the journal."""

_NO_ORDERS: Final[Mapping[OrderId, Order]] = {}
_NO_SIDES: Final[Mapping[tuple[str, Side | None], Mapping[OrderId, Order]]] = {}

Watcher = Callable[[Order], None]
FillWatcher = Callable[[Order, Decimal | None], None]
Waiting = tuple[Callable[[Order], bool], asyncio.Future[Order]]


class Blotter:
    """The list to look orders up in, by any of their ids."""

    def __init__(self, journal: Journal) -> None:
        """Start empty; recovery fills it with the open orders."""
        self._journal = journal
        self._open: dict[OrderId, Order] = {}
        self._ended: OrderedDict[OrderId, Order] = OrderedDict()
        self._by_broker_id: dict[tuple[str, str], OrderId] = {}
        self._by_key: dict[tuple[str, str], OrderId] = {}
        self._waiters: dict[OrderId, list[Waiting]] = {}
        self._watchers: list[Watcher] = []
        self._counts: dict[str, int] = {}
        self._sides: dict[str, dict[tuple[str, Side | None], dict[OrderId, Order]]] = {}
        """Open orders by account, and by symbol and side; no inner one is empty."""
        self._fill_watchers: list[FillWatcher] = []

    def watch_fills(self, watcher: FillWatcher) -> None:
        """Call back before the watchers when an order's filled quantity has changed, with the change.

        None for a change of an order that was not in memory: by how much is not known.
        """
        self._fill_watchers.append(watcher)

    def watch(self, watcher: Watcher) -> None:
        """Call back after each committed change of an order."""
        self._watchers.append(watcher)

    def get(self, order_id: OrderId) -> Order | None:
        """The order as of its last commit."""
        return self._open.get(order_id) or self._ended.get(order_id) or self._journal.load(order_id)

    def open(self, account_id: str) -> list[Order]:
        """The account's open orders, oldest first."""
        return [order for order in self._open.values() if order.intent.account_id == account_id]

    def on_side(self, account_id: str, symbol: str, side: Side | None) -> Mapping[OrderId, Order]:
        """The account's open orders on one side of a symbol, legs of complex orders too, oldest first."""
        return self._sides.get(account_id, _NO_SIDES).get((symbol, side), _NO_ORDERS)

    def sides(self, account_id: str) -> Iterable[tuple[str, Side | None]]:
        """The symbols, and the sides of them, on which the account has open orders."""
        return self._sides.get(account_id, _NO_SIDES)

    def count(self, account_id: str) -> int:
        """How many orders of the account are open."""
        return self._counts.get(account_id, 0)

    def all_open(self) -> Iterator[Order]:
        """Every open order."""
        return iter(list(self._open.values()))

    def __len__(self) -> int:
        """How many orders are open."""
        return len(self._open)

    def by_broker_id(self, account_id: str, broker_order_id: str) -> OrderId | None:
        """The order whose chain has this broker id."""
        known = self._by_broker_id.get((account_id, broker_order_id))
        return known or self._journal.find_broker_order(account_id, broker_order_id)

    def in_memory(self, account_id: str, broker_order_id: str, client_order_id: str) -> OrderId | None:
        """The order with this broker id, else with this key, among those in memory: no read of the journal."""
        known = self._by_broker_id.get((account_id, broker_order_id))
        return known or self._by_key.get((account_id, client_order_id))

    def by_key(self, account_id: str, client_order_id: str) -> OrderId | None:
        """The order submitted with this key."""
        return self._by_key.get((account_id, client_order_id)) or self._journal.find_key(account_id, client_order_id)

    def load(self, order: Order) -> None:
        """Take in an order at recovery: nobody waits for it yet."""
        self._put(order)

    def apply(self, order: Order) -> None:
        """Take in an order after its commit and tell whoever waits."""
        known = self._open.get(order.order_id) or self._ended.get(order.order_id)
        self._put(order)
        self._tell_fills(known, order)
        for watcher in self._watchers:
            watcher(order)
        waiting = self._waiters.get(order.order_id)
        if not waiting:
            return
        still: list[Waiting] = []
        for predicate, future in waiting:
            if future.done():
                continue
            if predicate(order):
                future.set_result(order)
            else:
                still.append((predicate, future))
        if still:
            self._waiters[order.order_id] = still
        else:
            del self._waiters[order.order_id]

    def is_awaited(self, order_id: OrderId) -> bool:
        """Whether anybody waits for a change of this order."""
        return order_id in self._waiters

    async def wait(self, order: Order, predicate: Callable[[Order], bool], timeout_s: float) -> Order:
        """The order once the predicate holds, or as it stands when the time is up. Never raises for the time."""
        current = self.get(order.order_id) or order
        if predicate(current) or timeout_s <= 0:
            return current
        future: asyncio.Future[Order] = asyncio.get_running_loop().create_future()
        waiting = (predicate, future)
        self._waiters.setdefault(order.order_id, []).append(waiting)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return self.get(order.order_id) or order
        finally:
            self._forget(order.order_id, waiting)

    def _forget(self, order_id: OrderId, waiting: Waiting) -> None:
        still = self._waiters.get(order_id)
        if still is not None and waiting in still:
            still.remove(waiting)
            if not still:
                del self._waiters[order_id]

    def _put(self, order: Order) -> None:
        was_open = order.order_id in self._open
        if was_open is not order.is_open:
            account_id = order.intent.account_id
            self._counts[account_id] = self._counts.get(account_id, 0) + (-1 if was_open else 1)
        self._index(order)
        if order.is_open:
            self._open[order.order_id] = order
            self._ended.pop(order.order_id, None)
        else:
            self._open.pop(order.order_id, None)
            self._ended[order.order_id] = order
            self._ended.move_to_end(order.order_id)
            if len(self._ended) > KEEP_ENDED:
                _, dropped = self._ended.popitem(last=False)
                self._by_key.pop((dropped.intent.account_id, dropped.intent.client_order_id), None)
                for link in dropped.links:
                    self._by_broker_id.pop((dropped.intent.account_id, link.broker_order_id), None)
        account_id = order.intent.account_id
        if order.intent.client_order_id:
            self._by_key[account_id, order.intent.client_order_id] = order.order_id
        for link in order.links:
            self._by_broker_id[account_id, link.broker_order_id] = order.order_id

    def _tell_fills(self, before: Order | None, order: Order) -> None:
        if order.filled_quantity == (before.filled_quantity if before is not None else ZERO):
            return
        change = None if before is None else subtract(order.filled_quantity, before.filled_quantity)
        for watcher in self._fill_watchers:
            watcher(order, change)

    def _index(self, order: Order) -> None:
        """Keep the open orders of its side of its symbol true."""
        sides, side = self._sides.setdefault(order.intent.account_id, {}), (order.intent.symbol, order.intent.side)
        if order.is_open:
            sides.setdefault(side, {})[order.order_id] = order
            return
        orders = sides.get(side, {})
        if orders.pop(order.order_id, None) is not None and not orders:
            del sides[side]
