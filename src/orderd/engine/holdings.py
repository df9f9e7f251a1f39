"""What an exit in a blocked symbol may close: the broker's position, read at that moment.

Positions are the broker's to tell. They are asked for only where a symbol waits for a discrepancy: there an entry is
denied, and whatever is proven to reduce what is held passes.
"""

from collections.abc import Iterable
from decimal import Decimal

from orderd.core.book import total
from orderd.core.order import Order, OrderIntent, Side
from orderd.core.values import ZERO, OrderId, Value
from orderd.engine.account import Account
from orderd.engine.errors import EngineError, Kind
from orderd.ports import BrokerError, BrokerPosition


class Holding(Value, frozen=True, kw_only=True):
    """The signed quantity of a symbol at the broker, and what was on its way to close it when it was asked for."""

    symbol: str
    quantity: Decimal
    closing_leaves: Decimal


class Holdings:
    """Reads one account's positions where the gate needs them."""

    def __init__(self, account: Account) -> None:
        """Nothing is kept: a position is as old as the call that needs it."""
        self._account = account

    async def read(self, intent: OrderIntent, *, leaving_out: OrderId | None = None) -> Holding | EngineError | None:
        """What is held of the intent's symbol when it is blocked; None when that does not matter.

        An error when the broker cannot be read: an exit cannot be told from an entry then, and neither is denied.
        """
        account = self._account
        if intent.symbol not in account.blocked_symbols or not intent.symbol or account.halt_reason:
            return None
        before = {side: self.leaves(intent.symbol, side, leaving_out=leaving_out) for side in Side}
        try:
            positions = await account.broker.positions()
        except BrokerError as error:
            text = f"{intent.symbol} is blocked, and its position cannot be read: {error}"
            return EngineError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", text, retry_after_s=2)
        quantity = held_of(positions, intent.symbol)
        # An exit that trades while the answer is on its way is in neither figure of now: it still counts as to come.
        return Holding(symbol=intent.symbol, quantity=quantity, closing_leaves=before[closing_side(quantity)])

    def leaves(self, symbol: str, side: Side, *, leaving_out: OrderId | None = None) -> Decimal:
        """What open orders of a symbol on one side have still to execute. One by notional may be any quantity."""
        orders = self._account.blotter.open(self._account.account_id)
        return total(
            _leaves(order)
            for order in orders
            if order.intent.symbol == symbol and order.intent.side is side and order.order_id != leaving_out
        )


def held_of(positions: Iterable[BrokerPosition], symbol: str) -> Decimal:
    """The signed quantity of a symbol among an account's positions."""
    return total(position.quantity for position in positions if position.symbol == symbol)


def closing_side(quantity: Decimal) -> Side:
    """The side that makes a position smaller."""
    return Side.SELL if quantity > 0 else Side.BUY


def wanted(intents: Iterable[OrderIntent], symbol: str, side: Side) -> Decimal:
    """What intents on their way to the journal ask for of a symbol on one side."""
    return total(intent.terms.quantity or ANY for intent in intents if intent.symbol == symbol and intent.side is side)


ANY = Decimal(10) ** 18
"""More than any position: the quantity of an order by notional is not known."""


def _leaves(order: Order) -> Decimal:
    leaves = order.leaves_quantity
    return ANY if leaves is None else max(leaves, ZERO)
