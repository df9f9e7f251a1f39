"""The kill switch: halt, cancel every entry, close what is held where that is asked for, and prove what is left.

Nothing is believed: an order is gone when the broker has said so, a position when the broker shows none. Whoever asks
is answered in time with what is proven by then; the work goes on to its end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final, Literal, TypeVar

import structlog

from orderd.core import keys
from orderd.core.book import total
from orderd.core.instruments import asset_class_of_symbol
from orderd.core.order import (
    AssetClass,
    Order,
    OrderIntent,
    OrderRole,
    OrderType,
    PositionIntent,
    Side,
    Terms,
    TimeInForce,
)
from orderd.core.trade import ExitReason, TradeState
from orderd.core.values import ZERO, OrderId, Value, subtract
from orderd.desk.tradebook import TradeBook
from orderd.desk.trades import TradeDesk
from orderd.engine import api
from orderd.engine.account import Account
from orderd.engine.errors import EngineError
from orderd.engine.holdings import closing_side, leaves_of
from orderd.ports import BrokerError, BrokerPosition
from orderd.risk.limits import TradingState

log = structlog.get_logger("orderd.desk")
T = TypeVar("T")

CANCEL_S = 15.0
"""How long the end of an order is waited for before its position's exit goes on without it."""
CLOSE_S = 30.0
"""How long one position's exit is waited for."""
READ_PAUSES_S: Final = 0.25, 0.5, 1.0, 2.0, 4.0
"""Between two attempts to read what the proof needs: a broker that stumbles once leaves nothing open."""
FLATTENED = "flattened"
NOT_DONE = "it is being worked on still"
UNREAD = "what the broker holds could not be read"
UNCOMPARED = "the broker's orders could not be compared"


class Closed(Value, frozen=True, kw_only=True):
    """A position that was held, what is left of it, and why."""

    symbol: str
    before: Decimal
    after: Decimal | None = None
    """None when the broker could not be read."""
    exit_order_id: str = ""
    message: str = ""


class Proof(Value, frozen=True, kw_only=True):
    """What is gone and what is not, as the broker shows it."""

    is_flat: bool
    canceled: tuple[Order, ...]
    live: tuple[Order, ...]
    positions: tuple[Closed, ...] = ()
    unproven: str = ""
    """Why this is no proof of what is left; empty when the broker has told all of it."""


class Flattening:
    """One use of the kill switch."""

    def __init__(self, account: Account, engine: api.Engine, book: TradeBook, trades: TradeDesk) -> None:
        """Nothing happens before `run`."""
        self._account = account
        self._engine = engine
        self._book = book
        self._trades = trades
        self._number = 0
        self._asked: dict[OrderId, None] = {}
        """Orders that were asked to end."""
        self._positions: dict[str, Closed] = {}
        self._unproven = NOT_DONE
        self._closes = False

    async def run(self, *, reason: str, operator_name: str, close_positions: bool) -> None:
        """Do all of it."""
        account = self._account
        self._closes = close_positions
        state = await account.risk.set_trading_state(TradingState.HALTED, reason=reason, operator_name=operator_name)
        self._number = state.version
        log.critical("account_flattening", account_id=account.account_id, reason=reason, closes=close_positions)
        await self._compare()  # brings in what others have placed
        await self._cancel(self._entries(), reason)
        if close_positions:
            await self._close(reason)
        await self._prove()
        await account.risk.flattened(reason, operator_name)

    def proof(self) -> Proof:
        """What is known now."""
        account = self._account
        live = account.blotter.open(account.account_id) if self._closes else self._entries()
        asked = [order for order_id in self._asked if (order := account.blotter.get(order_id)) is not None]
        positions = tuple(self._positions.values())
        is_closed = not self._closes or all(position.after == ZERO for position in positions)
        return Proof(
            is_flat=not self._unproven and not live and is_closed,
            canceled=tuple(order for order in asked if not order.is_open),
            live=tuple(live),
            positions=positions,
            unproven=self._unproven,
        )

    # --------------------------------------------------------------------------------------------------------- orders

    async def _compare(self) -> Literal[True] | None:
        """Bring in what the broker lists; None when that did not come to its end."""
        stage = api.ReconcileStage.STARTED
        async for progress in self._engine.reconcile(self._account.account_id):
            stage = progress.stage
        return True if stage is api.ReconcileStage.DONE else None

    def _entries(self) -> list[Order]:
        """Open orders that are nobody's stop or exit, other people's too, whoever placed them."""
        orders = self._account.blotter.open(self._account.account_id)
        return [order for order in orders if not order.intent.is_exit]

    async def _cancel(self, orders: Iterable[Order], reason: str) -> None:
        """Ask each to end, and wait for the broker's proof."""
        asked = list(orders)
        for order in asked:
            self._asked[order.order_id] = None
        await asyncio.gather(*(self._cancel_one(order, reason) for order in asked))

    async def _cancel_one(self, order: Order, reason: str) -> None:
        try:
            await self._engine.cancel(
                api.OrderRef(order_id=order.order_id), reason=reason, wait=api.Wait.JOURNAL, timeout_s=0
            )
        except EngineError:
            return  # it has ended
        await self._account.blotter.wait(order, lambda o: not o.is_open, CANCEL_S)

    # ------------------------------------------------------------------------------------------------------ positions

    async def _close(self, reason: str) -> None:
        """Every position: short options before all others, which may be what covers them."""
        positions = await self._read()
        if positions is None:
            await self._close_trades(reason)
            return
        for position in positions:
            self._positions[position.symbol] = Closed(symbol=position.symbol, before=position.quantity)
        for group in _in_order(positions):
            await asyncio.gather(*(self._close_one(position, reason) for position in group))

    async def _close_trades(self, reason: str) -> None:
        """Those that are known to hold something, each by what its own orders have done."""
        trades = [trade for trade in self._book.live(self._account.account_id) if trade.open_quantity]
        for symbol in dict.fromkeys(trade.signal.symbol for trade in trades):
            before = total(trade.sign * trade.open_quantity for trade in trades if trade.signal.symbol == symbol)
            self._positions[symbol] = Closed(symbol=symbol, before=before, message=UNREAD)
        await asyncio.gather(*(self._close_trade(trade.trade_id, reason) for trade in trades))

    async def _close_one(self, position: BrokerPosition, reason: str) -> None:
        """Its trades close themselves; what is held beyond them leaves by an exit of its own."""
        symbol = position.symbol
        trades = self._book.live_on(self._account.account_id, symbol)
        open_trades = [trade for trade in trades if trade.state is not TradeState.PENDING]
        exits = await asyncio.gather(*(self._close_trade(trade.trade_id, reason) for trade in open_trades))
        order_id = next((each for each in exits if each), "")
        await self._cancel(self._others_in(symbol), reason)
        held = await self._held(symbol)
        message = ""
        if held:
            order_id, message = await self._exit(symbol, held)
        self._positions[symbol] = Closed(
            symbol=symbol, before=position.quantity, exit_order_id=order_id, message=message
        )

    async def _close_trade(self, trade_id: str, reason: str) -> str:
        """The order that closed a trade, empty when none did."""
        asked = f"{FLATTENED}-{self._number}"
        try:
            trade = await self._trades.close(
                trade_id, reason=ExitReason.FLATTEN, text=reason, request_id=asked, timeout_s=CLOSE_S
            )
        except EngineError:
            return ""  # it is over
        exits = [order for order in self._trades.orders(trade) if order.intent.role is OrderRole.EXIT]
        return exits[-1].order_id if exits else ""

    def _others_in(self, symbol: str) -> list[Order]:
        """What still rests in the symbol: stops that nobody's trade looks after, and what came in between."""
        orders = self._account.blotter.open(self._account.account_id)
        return [order for order in orders if order.intent.symbol == symbol and order.intent.role is not OrderRole.EXIT]

    async def _exit(self, symbol: str, held: Decimal) -> tuple[str, str]:
        """Send what closes a position, less what is on its way to; the order's id, and why it is not done."""
        side = closing_side(held)
        resting = list(self._account.blotter.on_side(self._account.account_id, symbol, side).values())
        quantity = subtract(abs(held), total(leaves_of(order) for order in resting))
        if quantity <= 0:
            await self._settled(resting)
            return next((order.order_id for order in resting), ""), ""
        intent = self._intent(symbol, side, quantity)
        try:
            result = await self._engine.submit(intent, wait=api.Wait.BROKER, timeout_s=CLOSE_S)
        except EngineError as error:
            return "", f"{error.reason}: {error.message}"
        order = await self._account.blotter.wait(result.order, lambda o: not o.is_open, CLOSE_S)
        if order.is_open:
            return order.order_id, f"the exit is {order.state} still"
        reason = "" if order.reason is None else f": {order.reason.code} {order.reason.message}"
        return order.order_id, "" if order.filled_quantity == quantity else f"the exit ended {order.state}{reason}"

    async def _settled(self, orders: Iterable[Order]) -> None:
        """Wait for exits that are on their way."""
        wait = self._account.blotter.wait
        await asyncio.gather(*(wait(order, lambda o: not o.is_open, CLOSE_S) for order in orders))

    def _intent(self, symbol: str, side: Side, quantity: Decimal) -> OrderIntent:
        account, asset_class = self._account, asset_class_of_symbol(symbol)
        times = account.broker.capabilities(asset_class).times_in_force
        closing = PositionIntent.BUY_TO_CLOSE if side is Side.BUY else PositionIntent.SELL_TO_CLOSE
        return OrderIntent(
            account_id=account.account_id,
            client_order_id=keys.flatten_key(account.account_id, self._number, symbol),
            symbol=symbol,
            side=side,
            terms=Terms(
                type=OrderType.MARKET,
                time_in_force=TimeInForce.DAY if TimeInForce.DAY in times else TimeInForce.GTC,
                quantity=quantity,
            ),
            position_intent=closing if asset_class is AssetClass.US_OPTION else None,
            role=OrderRole.EXIT,
            trace_id=f"{FLATTENED}-{self._number}",
        )

    # ---------------------------------------------------------------------------------------------------------- proof

    async def _prove(self) -> None:
        """Compare with the broker once more: its orders, and what it holds."""
        is_compared = await self._insist(self._compare)
        positions = await self._read() if self._closes else ()
        self._unproven = UNREAD if positions is None else "" if is_compared else UNCOMPARED
        if not self._closes or positions is None:
            return
        left = {position.symbol: position.quantity for position in positions}
        for symbol in dict.fromkeys([*self._positions, *left]):
            known = self._positions.get(symbol) or Closed(symbol=symbol, before=ZERO, message="opened meanwhile")
            after = left.get(symbol, ZERO)
            self._positions[symbol] = Closed(
                symbol=symbol,
                before=known.before,
                after=after,
                exit_order_id=known.exit_order_id,
                message=(known.message or "it is held still") if after else "",
            )

    async def _insist(self, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """Ask until there is an answer, a few times."""
        for pause_s in READ_PAUSES_S:
            if (answer := await ask()) is not None:
                return answer
            await self._account.pause(pause_s)
        return await ask()

    async def _read(self) -> Sequence[BrokerPosition] | None:
        return await self._insist(self._read_once)

    async def _read_once(self) -> Sequence[BrokerPosition] | None:
        try:
            return [each for each in await self._account.broker.positions() if each.quantity]
        except BrokerError as error:
            log.critical("flatten_unread", account_id=self._account.account_id, reason=str(error))
            return None

    async def _held(self, symbol: str) -> Decimal:
        """What the broker shows now; nothing when it cannot be read, and then nothing is sold."""
        positions = await self._read() or ()
        return total(position.quantity for position in positions if position.symbol == symbol)


def _in_order(positions: Sequence[BrokerPosition]) -> list[list[BrokerPosition]]:
    """Short options first."""
    first = [each for each in positions if each.asset_class is AssetClass.US_OPTION and each.quantity < 0]
    return [first, [each for each in positions if each not in first]]
