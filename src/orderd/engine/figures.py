"""The account's figures as the broker shows them, at most a few seconds old, read only where something needs them."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from orderd.core.instruments import known_multiplier
from orderd.core.order import Order
from orderd.core.values import ZERO, OrderId, Value, add
from orderd.engine.account import Account
from orderd.engine.holdings import FRESH_S
from orderd.ports import BrokerAccount, BrokerError
from orderd.risk.gate import notional_of
from orderd.risk.limits import NO_STANDING, Exposure, Standing


class Reading(Value, frozen=True, kw_only=True):
    """What the broker showed, and when it was asked."""

    figures: BrokerAccount
    asked_ns: int


class Reservations:
    """What own orders cost that the broker's buying power cannot know of yet. Kept only where that is judged."""

    def __init__(self, account: Account) -> None:
        """Nothing is reserved."""
        self._account = account
        self._costs: dict[OrderId, Decimal] = {}

    def add(self, order_id: OrderId, cost: Decimal | None) -> None:
        """An order was let through; or new terms for it, which cost so much more."""
        self._costs[order_id] = add(self._costs.get(order_id, ZERO), cost or ZERO)

    def drop(self, order_id: OrderId) -> None:
        """It was never written."""
        self._costs.pop(order_id, None)

    def watch(self, order: Order) -> None:
        """What ended without a trade costs nothing."""
        if not order.is_open and not order.filled_quantity:
            self._costs.pop(order.order_id, None)

    def total(self) -> Decimal:
        """The sum of them."""
        return sum(self._costs.values(), ZERO)

    def of(self, order_id: OrderId) -> Decimal:
        """One order's share."""
        return self._costs.get(order_id, ZERO)

    def asking(self) -> list[OrderId]:
        """Right before the figures are asked for: what the answer will know of, because the broker has it already.

        Orders of an earlier process that the broker may not have are taken up here.
        """
        for order in self._account.blotter.open(self._account.account_id):
            if not order.links and not order.intent.is_exit and order.order_id not in self._costs:
                self._costs[order.order_id] = cost_of(order) or ZERO
        return [order_id for order_id in self._costs if self._is_known(order_id)]

    def answered(self, known: Sequence[OrderId]) -> None:
        """The figures have come: what they know of is not counted twice."""
        for order_id in known:
            self._costs.pop(order_id, None)

    def _is_known(self, order_id: OrderId) -> bool:
        order = self._account.blotter.get(order_id)
        return order is not None and bool(order.links) and order.pending_replace is None


def cost_of(order: Order) -> Decimal | None:
    """What an order can be worth at most by its terms, None without a price."""
    intent = msgspec.structs.replace(order.intent, terms=order.terms)
    return notional_of(intent, Exposure(multiplier=known_multiplier(intent)))


class Figures:
    """The last reading of one account's figures."""

    def __init__(self, account: Account) -> None:
        """Nothing is known before the first reading."""
        self._account = account
        self._reading: asyncio.Task[Reading | None] | None = None
        self.reserved: Reservations | None = Reservations(account) if account.policy.limits.check_buying_power else None
        self._last: Reading | None = None
        self._money: Reading | None = None
        """The last reading that was asked for here, with the reservations it leaves."""
        self.standing: Standing = NO_STANDING
        """What the broker lets the account do, by the last reading."""

    @property
    def buying_power(self) -> Decimal | None:
        """The buying power that `reserved` belongs to."""
        return None if self._money is None else self._money.figures.buying_power

    def keep(self, figures: BrokerAccount, asked_ns: int) -> Reading:
        """Take in a reading, whoever asked for it."""
        reading = Reading(figures=figures, asked_ns=asked_ns)
        if self._last is None or asked_ns >= self._last.asked_ns:
            self._last = reading
            self.standing = Standing(
                is_trading_blocked=figures.is_trading_blocked,
                may_short=figures.may_short,
                options_level=figures.options_level,
            )
        return reading

    async def fresh(self) -> BrokerAccount | None:
        """The figures, at most 5 s old; whoever needs them waits for the same reading. None when it failed."""
        return await self._at_most_5s(self._last)

    async def fresh_money(self) -> bool:
        """Have a buying power that is at most 5 s old. False when it could not be read."""
        return await self._at_most_5s(self._money) is not None

    async def now(self) -> BrokerAccount | None:
        """The figures as they are told from now on. None when they could not be read."""
        reading = await asyncio.shield(self._account.tasks.run(self._ask(), f"figures:{self._account.account_id}"))
        return None if reading is None else reading.figures

    async def _at_most_5s(self, last: Reading | None) -> BrokerAccount | None:
        if last is not None and self._account.clock.monotonic_ns() - last.asked_ns <= FRESH_S * 1e9:
            return last.figures
        if self._reading is None or self._reading.done():
            self._reading = self._account.tasks.run(self._ask(), f"figures:{self._account.account_id}")
        reading = await asyncio.shield(self._reading)
        return None if reading is None else reading.figures

    async def _ask(self) -> Reading | None:
        account = self._account
        asked_ns = account.clock.monotonic_ns()
        known = [] if self.reserved is None else self.reserved.asking()
        try:
            figures = await account.broker.account()
        except BrokerError:
            return None
        reading = self.keep(figures, asked_ns)
        if self._money is None or asked_ns >= self._money.asked_ns:
            self._money = reading
            if self.reserved is not None:
                self.reserved.answered(known)
        return reading
