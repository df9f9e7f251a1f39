"""Cash and positions of one account, and the trades that made them."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from orderd.venue.money import ZERO
from orderd.venue.orders import Execution, ExecutionState, PositionIntent, Side

START_CASH: Final = Decimal(100_000)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A net position. Quantity and cost are negative when short; cost is quantity x average entry price."""

    symbol: str
    quantity: Decimal
    cost: Decimal
    multiplier: Decimal

    @property
    def average_price(self) -> Decimal:
        """Average entry price, dollars a unit."""
        return self.cost / self.quantity


def traded(position: Position | None, execution: Execution) -> Position | None:
    """The position after one more trade; None when it is flat.

    Adding moves the average, reducing keeps it, crossing zero starts anew at the trade's price.
    """
    signed = execution.quantity * execution.side.sign
    return moved(position, execution.symbol, signed, execution.price, execution.multiplier)


def moved(
    position: Position | None, symbol: str, signed: Decimal, price: Decimal, multiplier: Decimal
) -> Position | None:
    """The position after so much more of it; None when it is flat."""
    held, cost = (position.quantity, position.cost) if position else (ZERO, ZERO)
    quantity = held + signed
    if not quantity:
        return None
    if held * signed >= 0:
        cost += signed * price
    elif held * quantity > 0:
        cost = cost * quantity / held
    else:
        cost = quantity * price
    return Position(symbol=symbol, quantity=quantity, cost=cost, multiplier=multiplier)


def intent_of(held: Decimal, side: Side) -> PositionIntent:
    """What an order of this side does to a position of this (signed) quantity."""
    if side is Side.BUY:
        return PositionIntent.BUY_TO_CLOSE if held < 0 else PositionIntent.BUY_TO_OPEN
    return PositionIntent.SELL_TO_CLOSE if held > 0 else PositionIntent.SELL_TO_OPEN


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What the account's owner may set (reference, section 2)."""

    trade_confirm_email: str = "all"
    suspend_trade: bool = False
    no_shorting: bool = False
    fractional_trading: bool = True
    max_margin_multiplier: str = "4"
    max_options_trading_level: int | None = None
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False


class CashMovement(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the account that is no trade: a deposit, a fee, an exercise."""

    movement_id: str
    kind: str
    at: datetime
    net_amount: Decimal
    description: str
    symbol: str = ""
    quantity: Decimal | None = None
    price: Decimal | None = None
    group_id: str = ""
    day: str = ""
    """YYYY-MM-DD that it is dated with; empty: the day of `at` in New York."""


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """What changes a position and is no trade: a transfer, an expiry, a split, a fee in kind. Quantity is signed."""

    symbol: str
    quantity: Decimal
    price: Decimal = ZERO
    multiplier: Decimal = Decimal(1)
    net_amount: Decimal = ZERO
    kind: str = ""
    """The word of the activity it is listed as; empty: it is not listed."""
    group_id: str = ""
    day: str = ""
    """YYYY-MM-DD that the activity is dated with; empty: today."""
    moves: bool = True
    """False: it is listed only, its quantity has changed before."""


class Account:
    """One brokerage account. Changed only by booking executions and cash movements."""

    def __init__(self, *, account_id: str, number: str, cash: Decimal, opened_at: datetime) -> None:
        self.account_id = account_id
        self.number = number
        self.opened_at = opened_at
        self.multiplier = Decimal(4)
        self.options_level = 3
        self.is_blocked = False
        self.configuration = Configuration()
        self.executions: dict[str, Execution] = {}
        self.movements: list[CashMovement] = []
        self.accrued_fees = ZERO
        self.start_cash = cash
        self.cash = cash
        self.last_equity = cash
        self.positions: dict[str, Position] = {}
        self.happenings: list[Happening] = []

    def held(self, symbol: str) -> Decimal:
        """Signed quantity of the position, 0 when there is none."""
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    def book(self, execution: Execution) -> None:
        """Take one trade into cash and positions."""
        self.executions[execution.execution_id] = execution
        self.cash += _cash_of(execution)
        self._set(execution.symbol, traded(self.positions.get(execution.symbol), execution))

    def unbook(self, execution: Execution, state: ExecutionState) -> Execution:
        """Take a trade back; it stays in the record, marked. The position is folded anew from what is left."""
        marked = msgspec.structs.replace(execution, state=state)
        self.executions[execution.execution_id] = marked
        self.cash -= _cash_of(execution)
        position = folded(self.live_executions(), execution.symbol)
        for each in self.happenings:
            if each.symbol == execution.symbol:
                position = moved(position, each.symbol, each.quantity, each.price, each.multiplier)
        self._set(execution.symbol, position)
        return marked

    def happen(self, happening: Happening) -> None:
        """Take into the position what was no trade."""
        self.happenings.append(happening)
        each, known = happening, self.positions.get(happening.symbol)
        self._set(each.symbol, moved(known, each.symbol, each.quantity, each.price, each.multiplier))

    def live_executions(self) -> Iterable[Execution]:
        """The trades that stand, oldest first."""
        return (each for each in self.executions.values() if each.state is ExecutionState.LIVE)

    def move(self, movement: CashMovement) -> None:
        """Take a cash movement into the account."""
        self.movements.append(movement)
        self.cash += movement.net_amount

    def _set(self, symbol: str, position: Position | None) -> None:
        if position is None:
            self.positions.pop(symbol, None)
        else:
            self.positions[symbol] = position


def folded(executions: Iterable[Execution], symbol: str) -> Position | None:
    """The position that these trades make in this symbol."""
    position: Position | None = None
    for execution in executions:
        if execution.symbol == symbol:
            position = traded(position, execution)
    return position


def _cash_of(execution: Execution) -> Decimal:
    return -execution.side.sign * execution.quantity * execution.price * execution.multiplier
