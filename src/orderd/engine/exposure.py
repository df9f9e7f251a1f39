"""What an account has at stake when an order is judged: committed orders, those on their way, and the broker's figures.

Rule 1: whatever has to be read from the broker is read before; from the judging to the handing over to the journal
there is no await, so concurrent orders see each other and no limit is exceeded by them together.
Rule 2: a limit that is not set costs nothing: nothing is read for it, counted for it or kept for it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from orderd.core.book import total
from orderd.core.instruments import asset_class_of, known_multiplier
from orderd.core.order import CLOSING_ROLES, AssetClass, Order, OrderClass, OrderIntent, OrderRole, Side, Terms
from orderd.core.turnstiles import Approved, Denied
from orderd.core.values import ZERO, ClientOrderId, OrderId, canonical, subtract
from orderd.engine.account import Account
from orderd.engine.errors import EngineError, Kind
from orderd.engine.figures import Figures, cost_of
from orderd.engine.holdings import Holding, Holdings, closing_side, leaves_of
from orderd.risk import breaker
from orderd.risk.limits import Exposure, OppositeOrders, Stake, TradingState

MINUTE_NS = 60_000_000_000
FOR_ANY_POSITION = frozenset({"TRADING_HALTED", "TRADING_FROZEN"})
"""Denials that no position would change."""
_ONE: Final = Decimal(1)
_MAY_CLOSE: Final = frozenset({OrderClass.SIMPLE, OrderClass.OCO})
_OTHER: Final = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
_NO_ORDERS: Final[dict[OrderId, Order]] = {}


class Exposures:
    """The exposure of one account, and what is on its way to become it."""

    def __init__(self, account: Account, holdings: Holdings, figures: Figures) -> None:
        """`holdings` and `figures` are fed by whoever reads them."""
        self._account = account
        self._holdings = holdings
        self._figures = figures
        self._flying: dict[ClientOrderId, Sequence[Order]] = {}
        """Orders handed to the journal and not durable yet, with their legs, by key."""
        self._flying_on: dict[tuple[str, Side | None], dict[OrderId, Order]] = {}
        """The same by symbol and side; no inner one is empty."""
        self._taken_ns: deque[int] = deque()
        """When the openers of the last minute were taken; kept where a rate is set."""
        self._twins: dict[tuple[object, ...], int] = {}
        """When the same was asked for last; kept where the duplicate guard is on."""
        limits = account.policy.limits
        self._looks = bool(limits.check_buying_power or limits.max_open_positions or limits.has_breaker)
        """Whether the limits need something to be read before an order can be judged."""
        others = (limits.max_orders_per_minute, limits.duplicate_window_s)
        self._is_limited = self._looks or any(limit is not None for limit in others)

    # --------------------------------------------------------------------------------------------- before the judging

    def needs_look(self, intent: OrderIntent) -> bool:
        """Whether something has to be read before this order can be judged."""
        if intent.role in CLOSING_ROLES or self._account.halt_reason:
            return False
        return self._looks or (not intent.is_exit and self._account.assets.is_due(intent.symbol))

    async def look(self, intent: OrderIntent) -> EngineError | None:
        """Read what the set limits need, at most 5 s old, and what the instrument is. An error when a limit's need
        cannot be read.
        """
        account, limits = self._account, self._account.policy.limits
        if not intent.is_exit:
            _ = await account.assets.look(intent.symbol)
        if limits.max_open_positions is not None and not await self._holdings.freshen():
            return _unread("positions")
        if limits.has_breaker and account.risk.needs_base:
            figures = await self._figures.fresh()
            if figures is None:
                return _unread("equity")
            if figures.last_equity is not None:
                await account.risk.base(figures.last_equity)
        if limits.check_buying_power and not await self._figures.fresh_money():
            return _unread("buying power")
        return None

    async def prove(self, intent: OrderIntent, *, leaving_out: OrderId | None = None) -> Holding | EngineError:
        """What the broker holds of the intent's symbol, read now.

        An error when it cannot be read: an exit cannot be told from an entry then, and neither is denied.
        """
        before = [order for order in self._live(intent.symbol, intent.side) if order.order_id != leaving_out]
        leaves = tuple((order.order_id, leaves_of(order)) for order in before)
        quantity = await self._holdings.read(intent.symbol)
        return quantity if isinstance(quantity, EngineError) else Holding(quantity=quantity, leaves=leaves)

    def may_close(self, intent: OrderIntent, denied: Denied) -> bool:
        """Whether the order may be an exit all the same, so that the broker has to be asked before it is denied."""
        is_entry = intent.role is OrderRole.ENTRY or intent.order_class not in _MAY_CLOSE
        if is_entry or not intent.symbol or denied.reason.code in FOR_ANY_POSITION or self._account.halt_reason:
            return False
        held = self._holdings.quantity(intent.symbol)
        if held is None or not self._holdings.is_fresh() or intent.is_exit:
            return True
        return bool(held) and intent.side is closing_side(held)

    # --------------------------------------------------------------------------------------------------- the judging

    def of(self, intent: OrderIntent, *, held: Holding | None = None, leaving_out: OrderId | None = None) -> Exposure:
        """What is at stake now: committed, and on its way, without an order that is being replaced."""
        account, risk = self._account, self._account.risk.state
        position = self._holdings.quantity(intent.symbol) if held is None else held.quantity
        asset_class = asset_class_of(intent)
        opposing = tuple(self._live(intent.symbol, _OTHER[intent.side])) if intent.side is not None else ()
        exposure = Exposure(
            trading_state=TradingState.HALTED if account.halt_reason else risk.trading_state,
            freeze_protection=risk.freeze_protection and not account.halt_reason,
            standing=self._figures.standing,
            asset=account.assets.get(intent.symbol),
            asset_class=asset_class,
            opposing=opposing,
            opposite_orders=(
                account.broker.capabilities(asset_class).opposite_orders if opposing else OppositeOrders.ALLOWED
            ),
            stakes=tuple(self._stakes(intent, opposing, position)) if intent.strategy else (),
            open_orders=account.open_count() + len(self._flying) - (leaving_out is not None),
            position=position,
            is_position_proven=held is not None,
            closing_leaves=self._closing(intent, position, held, leaving_out) if position else ZERO,
            multiplier=known_multiplier(intent) if asset_class is AssetClass.US_OPTION else _ONE,
            blocked_symbols=frozenset(account.blocked_symbols),
            last_price=self._holdings.last(intent.symbol),
        )
        return msgspec.structs.replace(exposure, **self._limited(intent, leaving_out)) if self._is_limited else exposure

    def _limited(self, intent: OrderIntent, leaving_out: OrderId | None) -> dict[str, object]:
        """What only some limits need."""
        account, limits = self._account, self._account.policy.limits
        found: dict[str, object] = {}
        if limits.has_breaker:
            today = account.risk.day()
            found |= {"tripped": breaker.tripped(today, account.risk.today()), "base_equity": today.base}
        if limits.max_open_positions is not None:
            found["open_symbols"] = self.open_symbols(leaving_out)
        if self._figures.reserved is not None:
            found |= {"buying_power": self._figures.buying_power, "reserved": self._reserved(leaving_out)}
        if leaving_out is None and limits.max_orders_per_minute is not None:
            found |= self._rate()
        if leaving_out is None and limits.duplicate_window_s is not None:
            found["has_twin"] = self._has_twin(intent, limits.duplicate_window_s)
        return found

    def _live(self, symbol: str, side: Side | None) -> Iterator[Order]:
        """Own orders on a side of a symbol that may trade: without an end, UNKNOWN ones too, and those on their way."""
        yield from self._account.blotter.on_side(self._account.account_id, symbol, side).values()
        yield from self._flying_on.get((symbol, side), _NO_ORDERS).values()

    def _stakes(self, intent: OrderIntent, opposing: Sequence[Order], position: Decimal | None) -> Iterator[Stake]:
        """Strategies that have, or are about to open, something on the other side of the symbol."""
        yield from self._account.stakes_of(intent.symbol)
        for order in opposing:
            is_exit = order.intent.is_exit or (bool(position) and order.intent.side is closing_side(position or ZERO))
            if order.intent.strategy and order.intent.side is not None and not is_exit:
                yield Stake(strategy=order.intent.strategy, side=order.intent.side)

    def _closing(
        self, intent: OrderIntent, position: Decimal, held: Holding | None, leaving_out: OrderId | None
    ) -> Decimal:
        """What others have still to close: as of now, and as of when the position was asked for, whichever is more.

        An exit that trades while the answer is on its way is in neither figure of now: it still counts as to come.
        """
        if intent.side is not closing_side(position):
            return ZERO
        leaves = {order.order_id: leaves_of(order) for order in self._live(intent.symbol, intent.side)}
        for order_id, before in held.leaves if held is not None else ():
            leaves[order_id] = max(before, leaves.get(order_id, ZERO))
        if leaving_out is not None:
            leaves.pop(leaving_out, None)
        return total(leaves.values())

    def open_symbols(self, leaving_out: OrderId | None = None) -> frozenset[str] | None:
        """Symbols with open quantity or a live entry; None when nobody has read what is held."""
        held = self._holdings.open_symbols()
        if held is None:
            return None
        symbols = dict.fromkeys(held)
        for symbol, side in dict.fromkeys([*self._account.blotter.sides(self._account.account_id), *self._flying_on]):
            live = self._live(symbol, side)
            if symbol and any(not order.intent.is_exit and order.order_id != leaving_out for order in live):
                symbols[symbol] = None
        return frozenset(symbols)

    def used(self) -> dict[str, str]:
        """What stands against the limits that are about more than one order, by their names."""
        limits, symbols = self._account.policy.limits, self.open_symbols()
        used = {"max_open_orders": str(self._account.open_count() + len(self._flying))}
        if symbols is not None:
            used["max_open_positions"] = str(len(symbols))
        if self._figures.reserved is not None:
            used["check_buying_power"] = canonical(self._figures.reserved.total())
        if limits.max_orders_per_minute is not None:
            _ = self._rate()
            used["max_orders_per_minute"] = str(len(self._taken_ns))
        return used

    def _reserved(self, leaving_out: OrderId | None) -> Decimal:
        """What the buying power cannot know of, less what it holds for an order that is being replaced."""
        reserved = self._figures.reserved
        if reserved is None:
            return ZERO
        total, order = reserved.total(), self._account.blotter.get(leaving_out) if leaving_out is not None else None
        return total if order is None else subtract(total, reserved.of(order.order_id) or cost_of(order) or ZERO)

    def _rate(self) -> dict[str, object]:
        now_ns, taken = self._account.clock.monotonic_ns(), self._taken_ns
        while taken and now_ns - taken[0] >= MINUTE_NS:
            taken.popleft()
        if not taken:
            return {}
        return {"orders_last_minute": len(taken), "retry_after_s": (MINUTE_NS - (now_ns - taken[0])) / 1e9}

    def _has_twin(self, intent: OrderIntent, window_s: Decimal) -> bool:
        now_ns, within_ns = self._account.clock.monotonic_ns(), int(window_s * 1_000_000_000)
        self._twins = {asked: at_ns for asked, at_ns in self._twins.items() if now_ns - at_ns < within_ns}
        return _asked(intent) in self._twins

    # ---------------------------------------------------------------------------------------------- after the judging

    def begin(self, orders: Sequence[Order], verdict: Approved) -> None:
        """An order, with its legs, is handed to the journal: from here on it counts."""
        intent, limits = orders[0].intent, self._account.policy.limits
        self._flying[intent.client_order_id] = orders
        for order in orders:
            self._flying_on.setdefault((order.intent.symbol, order.intent.side), {})[order.order_id] = order
        if verdict.is_closing:
            return
        if limits.max_orders_per_minute is not None:
            self._taken_ns.append(self._account.clock.monotonic_ns())
        if limits.duplicate_window_s is not None:
            self._twins[_asked(intent)] = self._account.clock.monotonic_ns()
        if self._figures.reserved is not None:
            self._figures.reserved.add(orders[0].order_id, cost_of(orders[0]))

    def end(self, key: ClientOrderId, *, is_recorded: bool) -> None:
        """It is durable, and stands in the blotter from here on, or nothing was written."""
        orders = self._flying.pop(key, ())
        for order in orders:
            side = (order.intent.symbol, order.intent.side)
            del self._flying_on[side][order.order_id]
            if not self._flying_on[side]:
                del self._flying_on[side]
        if orders and not is_recorded and self._figures.reserved is not None:
            self._figures.reserved.drop(orders[0].order_id)

    def replaced(self, order: Order, terms: Terms) -> None:
        """New terms were let through: until the broker's figure knows of them they cost what is more."""
        reserved = self._figures.reserved
        if reserved is None or order.intent.is_exit:
            return
        new = cost_of(msgspec.structs.replace(order, terms=terms)) or ZERO
        reserved.add(order.order_id, max(subtract(new, reserved.of(order.order_id) or cost_of(order) or ZERO), ZERO))


def _asked(intent: OrderIntent) -> tuple[object, ...]:
    """What makes two orders twins, whatever their keys are."""
    return intent.symbol, intent.side, intent.terms, intent.order_class, intent.legs, intent.position_intent


def _unread(what: str) -> EngineError:
    text = f"a limit needs the account's {what}, and the broker cannot be read"
    return EngineError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", text, retry_after_s=2)
