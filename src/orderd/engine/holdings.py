"""What the account holds: believed from the last reading and the fills since, proven by asking the broker.

Positions are the broker's to tell. What is believed costs nothing and may be wrong for a moment (a fill that was in the
reading already, a trade by somebody else), so it only says when it is worth asking: no order is denied as an entry, and
none passes as an exit, before the broker was read for it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from decimal import Decimal

from orderd.core.book import total
from orderd.core.order import Order, Side
from orderd.core.values import ZERO, OrderId, Value, add
from orderd.engine.account import Account
from orderd.engine.errors import EngineError, Kind
from orderd.ports import BrokerError, BrokerPosition

FRESH_S = 5.0
"""How old a snapshot may be that a limit is judged by."""
ANY = Decimal(10) ** 18
"""More than any position: the quantity of an order by notional is not known."""

_Moves = dict[str, Decimal | None]


class Holding(Value, frozen=True, kw_only=True):
    """The signed quantity of a symbol at the broker, and what was on its way to close it when it was asked for."""

    quantity: Decimal
    leaves: tuple[tuple[OrderId, Decimal], ...] = ()


class Holdings:
    """One account's positions. Implements the port `Quotes` with the prices they are shown at."""

    def __init__(self, account: Account) -> None:
        """Nothing is known before the first reading."""
        self._account = account
        self._positions: dict[str, BrokerPosition] | None = None
        self._asked_ns = 0
        self._moved: _Moves = {}
        """Fills by symbol since the reading was asked for; None where it is not known how many."""
        self._readings: list[_Moves] = []
        """The same for readings that are on their way."""
        self._reading: asyncio.Task[bool] | None = None

    def watch(self, order: Order, change: Decimal | None) -> None:
        """Hear of fills. Those of a spread are its legs'."""
        if order.is_parent_of_legs or order.intent.side is None:
            return
        signed = change if change is None or order.intent.side is Side.BUY else change.copy_negate()
        for moves in (self._moved, *self._readings):
            before = moves.get(order.intent.symbol, ZERO)
            moves[order.intent.symbol] = None if signed is None or before is None else add(before, signed)

    # ------------------------------------------------------------------------------------------------------- believed

    def quantity(self, symbol: str) -> Decimal | None:
        """The signed quantity that is believed to be held, None when that is not known."""
        if self._positions is None:
            return None
        held, moved = self._positions.get(symbol), self._moved.get(symbol, ZERO)
        if moved is None:
            return None
        return moved if held is None else add(held.quantity, moved)

    def open_symbols(self) -> list[str] | None:
        """Symbols of which something is believed, or not known not, to be held; None before the first reading."""
        if self._positions is None:
            return None
        return [symbol for symbol in dict.fromkeys([*self._positions, *self._moved]) if self.quantity(symbol) != ZERO]

    def last(self, symbol: str) -> Decimal | None:
        """The price at which the broker showed the position at most 5 s ago."""
        held = self._positions.get(symbol) if self._positions else None
        return held.current_price if held is not None and self.is_fresh() else None

    def is_fresh(self) -> bool:
        """Whether the last reading is at most 5 s old."""
        return self._positions is not None and self._account.clock.monotonic_ns() - self._asked_ns <= FRESH_S * 1e9

    async def freshen(self) -> bool:
        """Have a reading that is at most 5 s old; whoever needs one waits for the same. False when it failed."""
        return self.is_fresh() or await self.refresh()

    async def refresh(self) -> bool:
        """Read them anew; whoever wants that at the same time waits for the same reading. False when it failed."""
        if self._reading is None or self._reading.done():
            self._reading = self._account.tasks.run(self._try(), f"positions:{self._account.account_id}")
        return await asyncio.shield(self._reading)

    async def _try(self) -> bool:
        try:
            _ = await self._ask()
        except BrokerError:
            return False
        return True

    async def _ask(self) -> Sequence[BrokerPosition]:
        """Read them. Raises BrokerError."""
        account = self._account
        asked_ns, moves = account.clock.monotonic_ns(), _Moves()
        self._readings.append(moves)
        try:
            positions = await account.broker.positions()
        finally:
            # By identity: two readings may have heard of the same fills.
            self._readings = [each for each in self._readings if each is not moves]
        if self._positions is None or asked_ns >= self._asked_ns:
            self._positions = {position.symbol: position for position in positions}
            self._asked_ns, self._moved = asked_ns, moves
        return positions

    # --------------------------------------------------------------------------------------------------------- proven

    async def read(self, symbol: str) -> Decimal | EngineError:
        """The signed quantity of a symbol at the broker, read now."""
        try:
            return held_of(await self._ask(), symbol)
        except BrokerError as error:
            text = f"whether it is an exit cannot be told, the position cannot be read: {error}"
            return EngineError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", text, retry_after_s=2)


def held_of(positions: Iterable[BrokerPosition], symbol: str) -> Decimal:
    """The signed quantity of a symbol among an account's positions."""
    return total(position.quantity for position in positions if position.symbol == symbol)


def closing_side(quantity: Decimal) -> Side:
    """The side that makes a position smaller."""
    return Side.SELL if quantity > 0 else Side.BUY


def leaves_of(order: Order) -> Decimal:
    """What an open order has still to execute. One by notional may be any quantity."""
    leaves = order.leaves_quantity
    return ANY if leaves is None else max(leaves, ZERO)
