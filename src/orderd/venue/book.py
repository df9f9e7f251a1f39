"""Every order the venue has, and the ways to find one. `put` is the only way in; indexes follow by themselves."""

from collections.abc import Iterator
from decimal import Decimal

from orderd.venue.money import ZERO
from orderd.venue.orders import Order, OrderClass, Side, Status


class Book:
    """Orders by id, by the client's id, by account and, while open, by symbol. Iterates in order of arrival."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._by_client_id: dict[tuple[str, str], str] = {}
        self._by_account: dict[str, dict[str, None]] = {}
        self._open_by_account: dict[str, dict[str, None]] = {}
        self._open: dict[str, dict[str, None]] = {}
        self._open_own: dict[tuple[str, str], dict[str, None]] = {}
        self._reserved: dict[str, Decimal] = {}

    def announce(self, order: Order) -> None:
        """Give an order its place in the account's list ahead of its legs, which are stored before it."""
        self._by_account.setdefault(order.account_id, {})[order.order_id] = None

    def put(self, order: Order) -> Order:
        """Store a new order or the next version of a known one."""
        before = self._orders.get(order.order_id)
        self._orders[order.order_id] = order
        if before is None:
            self._by_client_id[order.account_id, order.client_order_id] = order.order_id
            self._by_account.setdefault(order.account_id, {})[order.order_id] = None
        change = reserved_by(order) - (reserved_by(before) if before else ZERO)
        if change:
            self._reserved[order.account_id] = self._reserved.get(order.account_id, ZERO) + change
        if before is None or before.is_open != order.is_open:
            self._index(order)
        return order

    def get(self, order_id: str) -> Order | None:
        """By the venue's id."""
        return self._orders.get(order_id)

    def must(self, order_id: str) -> Order:
        """By an id that is known to be there."""
        return self._orders[order_id]

    def by_client_id(self, account_id: str, client_order_id: str) -> Order | None:
        """By the client's id, whatever became of the order."""
        found = self._by_client_id.get((account_id, client_order_id))
        return self._orders.get(found) if found else None

    def of_account(self, account_id: str) -> list[Order]:
        """All orders of an account, oldest first."""
        return [self._orders[each] for each in self._by_account.get(account_id, ())]

    def open_of_account(self, account_id: str) -> list[Order]:
        """The account's open orders, legs of multi-leg orders included, oldest first."""
        return [self._orders[each] for each in self._open_by_account.get(account_id, ())]

    def open_of(self, account_id: str, symbol: str) -> Iterator[Order]:
        """The account's open orders in a symbol (legs of multi-leg orders are not listed)."""
        for each in list(self._open_own.get((account_id, symbol), ())):
            yield self._orders[each]

    def open_in(self, symbol: str) -> Iterator[Order]:
        """Everybody's open orders that a quote in this symbol concerns."""
        for each in list(self._open.get(symbol, ())):
            yield self._orders[each]

    def legs(self, order: Order) -> tuple[Order, ...]:
        """The orders hanging on this one."""
        return tuple(self._orders[each] for each in order.leg_ids if each in self._orders)

    def group(self, order: Order) -> tuple[Order, ...]:
        """The parent and its legs, whichever of them is asked about."""
        parent = self._orders.get(order.parent_id, order) if order.parent_id else order
        return (parent, *self.legs(parent))

    def reserved(self, account_id: str) -> Decimal:
        """Buying power held by the account's open opening orders, dollars."""
        return self._reserved.get(account_id, ZERO)

    def held(self, account_id: str, symbol: str, side: Side) -> tuple[Decimal, tuple[str, ...]]:
        """How much of a position open closing orders of this side hold, and which orders these are.

        The exits of one group hold the same units once.
        """
        held: dict[str, Decimal] = {}
        names: list[str] = []
        for order in self.open_of(account_id, symbol):
            if order.side is not side or not order.is_closing or _holds_nothing(order):
                continue
            group = order.parent_id or order.order_id
            held[group] = max(held.get(group, ZERO), order.leaves)
            names.append(order.order_id)
        return sum(held.values(), ZERO), tuple(names)

    def forget(self, account_id: str) -> None:
        """Lose every order of an account, client ids included, as if they had never been."""
        for order_id in self._by_account.pop(account_id, {}):
            order = self._orders.pop(order_id)
            self._by_client_id.pop((account_id, order.client_order_id), None)
            self._unindex(order, self._symbols(order))
        for key in [key for key in self._open_own if key[0] == account_id]:
            del self._open_own[key]
        for waiting in self._open.values():
            for order_id in [each for each in waiting if each not in self._orders]:
                del waiting[order_id]
        self._open_by_account.pop(account_id, None)
        self._reserved.pop(account_id, None)

    def _index(self, order: Order) -> None:
        own = self._open_by_account.setdefault(order.account_id, {})
        if order.is_open:
            own[order.order_id] = None
        else:
            own.pop(order.order_id, None)
        if order.type is None:  # a leg of a multi-leg order is filled through its parent
            return
        symbols = self._symbols(order)
        if order.is_open:
            for symbol in symbols:
                self._open.setdefault(symbol, {})[order.order_id] = None
                self._open_own.setdefault((order.account_id, symbol), {})[order.order_id] = None
        else:
            self._unindex(order, symbols)

    def _unindex(self, order: Order, symbols: tuple[str, ...]) -> None:
        for symbol in symbols:
            self._open.get(symbol, {}).pop(order.order_id, None)
            self._open_own.get((order.account_id, symbol), {}).pop(order.order_id, None)

    def _symbols(self, order: Order) -> tuple[str, ...]:
        if order.order_class is OrderClass.MLEG:
            return tuple(leg.symbol for leg in self.legs(order))
        return (order.symbol,)


def reserved_by(order: Order) -> Decimal:
    """Buying power this order holds, dollars."""
    if not order.is_open or not order.reserve_price:
        return ZERO
    if order.target is None:
        return order.notional or ZERO
    return order.leaves * order.reserve_price


def _holds_nothing(order: Order) -> bool:
    """An exit leg that has nothing to exit yet, or a successor whose predecessor still holds the units."""
    if order.replaces is not None and order.status is Status.PENDING_NEW:
        return True
    return order.parent_id != "" and order.status is Status.HELD and not order.is_armed
