"""What the world looks like around a trade: the broker's session and position, and the account's other orders."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from orderd.core.activities import ActivityKind
from orderd.core.assets import WHOLE, is_whole
from orderd.core.instruments import asset_class_of_symbol
from orderd.core.order import AssetClass, Order, OrderClass, OrderRole, OrderState, Side
from orderd.core.positions import Position
from orderd.core.trade import Trade, TradeOrders, is_mixed
from orderd.core.trade_adjust import is_news
from orderd.core.trade_steps import Refused, World
from orderd.core.values import EXACT, ROUNDED, ZERO, OrderId, add, divide, multiply, subtract
from orderd.engine.account import Account
from orderd.engine.holdings import held_of
from orderd.ports import BrokerClock, BrokerError, BrokerPosition, JournalBusyError
from orderd.risk.limits import OppositeOrders

NANOS = 1_000_000_000
CLOCK_KEPT_S = 60
"""How long the broker's word about its session is good, when no open or close falls into it."""
NOT_TAKEN = frozenset({OrderState.REJECTED, OrderState.DENIED, OrderState.SUBMIT_FAILED})


async def _nobody() -> None:
    """There is nobody to bring up to date."""


@dataclass(frozen=True)
class _Seen:
    version: int
    at_ns: int


@dataclass
class Surroundings:
    """One account's, as this process sees it. Ages are monotonic, so that a jumping clock hurries nothing."""

    account: Account
    _seen: dict[OrderId, _Seen] = field(default_factory=dict)
    _clock: BrokerClock | None = None
    _clock_ns: int = 0
    unchangeable: set[OrderId] = field(default_factory=set)
    prices: dict[str, Decimal] = field(default_factory=dict)
    """What each symbol that is held traded at lately, as the broker shows it with the position."""
    quantities: dict[str, Decimal] = field(default_factory=dict)
    """What the broker held when the prices were read, signed."""
    by_fills: Callable[[str], Position | None] = lambda _symbol: None
    """What the account holds of a symbol by its fills; None: nothing, or nobody says."""
    catch_up: Callable[[], Awaitable[object]] = _nobody
    """Brings `by_fills` up to the last event."""
    through_since: dict[str, int] = field(default_factory=dict)
    """Trades whose stop the market is beyond, and since when (monotonic ns)."""

    def watch(self, order: Order) -> None:
        """See a committed change of an order."""
        known = self._seen.get(order.order_id)
        if known is None or known.version != order.version:
            self._seen[order.order_id] = _Seen(order.version, self.account.clock.monotonic_ns())

    def unwatch(self, order: Order) -> None:
        """Let go of an order of nobody's trade that has ended."""
        self._seen.pop(order.order_id, None)

    def forget(self, orders: TradeOrders, trade_id: str) -> None:
        """Let go of a trade that is over."""
        self.through_since.pop(trade_id, None)
        for order in orders.all:
            self._seen.pop(order.order_id, None)
            self.unchangeable.discard(order.order_id)

    async def held(self, symbol: str) -> Decimal:
        """The broker's position, asked for now. Raises BrokerError."""
        return held_of(await self.look(), symbol)

    async def look(self) -> Sequence[BrokerPosition]:
        """Take in what the broker holds now, at what it trades, and what the fills say of it. Raises BrokerError."""
        listed = await self.account.broker.positions()
        with suppress(JournalBusyError):  # what the fills say is a little older then, and looked at again
            await self.catch_up()
        self.prices = {p.symbol: p.current_price for p in listed if p.current_price is not None}
        self.quantities = {p.symbol: p.quantity for p in listed}
        return listed

    def is_split_suspected(self, trade: Trade) -> bool:
        """Whether there was a split that the trade does not know yet.

        It is booked already; or the broker holds more or less of a share than the fills say, and the market is beyond
        the stop only when it is counted in the broker's units. Outside the session no price says anything: the quantity
        will do.
        """
        symbol = trade.signal.symbol
        known, held, price = self.by_fills(symbol), self.quantities.get(symbol), self.prices.get(symbol)
        if known is None or asset_class_of_symbol(symbol) is not AssetClass.US_EQUITY:
            return False
        if any(is_news(trade, each.split) for each in known.adjustments if each.kind is ActivityKind.SPLIT):
            return True
        ours = known.holding.quantity
        if not held or not ours or held == ours or held.is_signed() is not ours.is_signed():
            return False
        if not self.is_open:
            return True
        in_units_of_the_fills = None if price is None else divide(multiply(price, held), ours)
        return is_through(trade, price) and not is_through(trade, in_units_of_the_fills)

    async def refresh_clock(self) -> None:
        """Ask the broker for its session, unless what it said is still good. When it cannot be asked, that stays."""
        now_ns = self.account.clock.monotonic_ns()
        if self._clock is not None and now_ns - self._clock_ns < CLOCK_KEPT_S * NANOS and not self._turned(now_ns):
            return
        try:
            self._clock = await self.account.broker.clock()
            self._clock_ns = self.account.clock.monotonic_ns()
        except BrokerError:
            return

    def _turned(self, now_ns: int) -> bool:
        """Whether the session has opened or closed since the broker spoke."""
        assert self._clock is not None
        passed_s = (now_ns - self._clock_ns) / NANOS
        turn = self._clock.next_close if self._clock.is_open else self._clock.next_open
        return passed_s >= (turn - self._clock.time).total_seconds()

    @property
    def is_open(self) -> bool:
        """Whether the session is open by the broker's last word; True when it has never said."""
        return self._clock is None or self._clock.is_open

    def _opens_in_s(self, now_ns: int) -> Decimal | None:
        if self._clock is None or self._clock.is_open:
            return None
        said_us = (self._clock.next_open - self._clock.time) // timedelta(microseconds=1)
        return subtract(Decimal(said_us) / 1_000_000, _seconds(now_ns - self._clock_ns))

    @property
    def session(self) -> str:
        """The day of the session, YYYY-MM-DD, by the broker's clock."""
        moment = self.account.clock.now() if self._clock is None else self._clock.time
        return moment.date().isoformat()

    def world(self, trade: Trade, orders: TradeOrders, held: Decimal | None, *, is_frozen: bool) -> World:
        """What the trade's next step depends on."""
        for order in orders.all:
            self.watch(order)
        broker, symbol = self.account.broker, trade.signal.symbol
        asset_class = asset_class_of_symbol(symbol)
        can = broker.capabilities(asset_class)
        closing, opposite = self._others(trade, orders)
        for order in opposite:
            self.watch(order)
        waiting = [order for order in opposite if order.pending_cancel]
        since = self.through_since.get(trade.trade_id)
        now_ns = self.account.clock.monotonic_ns()
        return World(
            ages=tuple(
                [(o.order_id, _seconds(now_ns - self._seen[o.order_id].at_ns)) for o in (*orders.all, *opposite)]
            ),
            held=held,
            closing_elsewhere=closing,
            opposite_elsewhere=tuple([order.order_id for order in opposite if not order.pending_cancel]),
            is_opposite_ending=bool(waiting),
            refuses_opposite=can.opposite_orders is not OppositeOrders.ALLOWED,
            can_replace_quantity=can.can_replace_quantity,
            can_replace_splits=can.can_replace_splits,
            takes_exits=self.is_open or asset_class is AssetClass.CRYPTO or self.exit_price(trade) is not None,
            opens_in_s=self._opens_in_s(now_ns),
            is_frozen=is_frozen,
            refused=self._refused(orders),
            unchangeable=tuple(
                o.order_id for o in orders.stops if o.order_id in self.unchangeable or is_mixed(trade, o)
            ),
            through_s=None if since is None else _seconds(now_ns - since),
            is_split_suspected=self.is_split_suspected(trade),
            session=self.session,
        )

    def exit_price(self, trade: Trade) -> Decimal | None:
        """The limit of an exit outside the regular session; None inside it, and where none can go out."""
        offset = self.account.policy.limits.extended_exit_offset_percent
        last = self.prices.get(trade.signal.symbol)
        asset_class = asset_class_of_symbol(trade.signal.symbol)
        can = self.account.broker.capabilities(asset_class)
        if self.is_open or offset is None or last is None or not can.takes_extended_hours:
            return None
        asset = self.account.assets.get(trade.signal.symbol)
        if asset is not None and asset.splits_outside_session is False and not is_whole(trade.open_quantity, WHOLE):
            return None
        factor = EXACT.divide(offset, Decimal(100))
        price = multiply(last, subtract(Decimal(1), factor) if trade.sign > 0 else add(Decimal(1), factor))
        return beyond(price, self.increment(trade.signal.symbol, price), trade.sign)

    def increment(self, symbol: str, price: Decimal) -> Decimal | None:
        """The step of a price of about this size: the instrument's own, else that of its class. None: any."""
        asset = self.account.assets.get(symbol)
        if asset is not None and asset.price_step is not None:
            return asset.price_step
        return self.account.broker.price_increment(asset_class_of_symbol(symbol), price)

    def _refused(self, orders: TradeOrders) -> tuple[tuple[OrderId, Refused], ...]:
        sort = self.account.broker.sort_refusal
        return tuple(
            [(o.order_id, sort(o.reason)) for o in orders.stops if o.state in NOT_TAKEN and o.reason is not None]
        )

    def _others(self, trade: Trade, orders: TradeOrders) -> tuple[Decimal, list[Order]]:
        """What other orders of the symbol are about to close, and those that stand on the entry's side."""
        own = {order.order_id for order in orders.all}
        closing, opposite = ZERO, list[Order]()
        for order in self.account.blotter.open(self.account.account_id):
            if order.order_id in own or order.intent.symbol != trade.signal.symbol:
                continue
            if _is_in_the_way(order, trade.signal.side):
                opposite.append(order)
            elif order.intent.side is trade.exit_side and order.intent.role is not OrderRole.ENTRY:
                closing = add(closing, order.leaves_quantity or ZERO)
        return closing, opposite


def is_through(trade: Trade, price: Decimal | None) -> bool:
    """Whether the market is beyond the trade's stop."""
    if price is None:
        return False
    return price <= trade.stop_price if trade.sign > 0 else price >= trade.stop_price


def _is_in_the_way(order: Order, entry_side: Side) -> bool:
    """A plain order of ours that would be opposite to a stop or exit, or, as another trade's entry the other way, would
    take the quantity that it needs; complex ones are exempt, others' are not ours.
    """
    is_plain = order.intent.order_class is OrderClass.SIMPLE and order.parent_order_id is None
    is_wished = order.intent.side is entry_side or order.intent.role is OrderRole.ENTRY
    return is_plain and is_wished and not order.is_external and not order.intent.is_exit


def beyond(price: Decimal, tick: Decimal | None, sign: int) -> Decimal:
    """A whole number of ticks at this price, rounded to the side on which the order executes sooner."""
    if tick is None:
        return price
    rounding = ROUND_FLOOR if sign > 0 else ROUND_CEILING
    return multiply(ROUNDED.divide(price, tick).to_integral_value(rounding=rounding), tick)


def _seconds(ns: int) -> Decimal:
    return Decimal(ns) / NANOS
