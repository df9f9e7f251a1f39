"""How large what a decision asks for is, and whether its price still holds.

Rule: what cannot be told counts as too large, and what is proven to close never waits.
"""

from collections.abc import Mapping
from decimal import Decimal

from orderd.core import keys
from orderd.core.book import total
from orderd.core.decisions import Decided, Decision, SendOpen, SendOrder, is_large, is_near
from orderd.core.instruments import known_multiplier, multiplier_of_symbol
from orderd.core.order import EventSource, Order, OrderClass, OrderIntent, OrderRole, OrderType, Terms
from orderd.core.trade import Signal
from orderd.core.values import ZERO, Reason, add, canonical, multiply
from orderd.desk.trade_asks import OpenTrade
from orderd.desk.trades import TradeDesk
from orderd.engine.account import Account
from orderd.engine.errors import EngineError, Kind
from orderd.engine.holdings import closing_side, held_of, leaves_of
from orderd.ports import BrokerError, Quotes
from orderd.risk.gate import notional_of, reduces
from orderd.risk.limits import Exposure


class Sizes:
    """Asks the accounts' limits, their brokers, and the quotes when there are any."""

    def __init__(self, accounts: Mapping[str, Account], trades: TradeDesk, quotes: Mapping[str, Quotes]) -> None:
        """Nothing is kept."""
        self._accounts = accounts
        self._trades = trades
        self._quotes = quotes

    def limit(self, account_id: str) -> Decimal | None:
        """The value above which the account's entries need a person's word."""
        return self._accounts[account_id].policy.limits.approval_above_notional

    def last(self, account_id: str, symbol: str) -> Decimal | None:
        """What the symbol trades at, as far as somebody has told."""
        quotes = self._quotes.get(account_id)
        return None if quotes is None or not symbol else quotes.last(symbol)

    async def why_approval(self, said: Decided) -> Reason | None:
        """Why a person has to approve it, None when nobody has to."""
        limit = self.limit(said.account_id)
        if limit is None:
            return None
        match said.intent:
            case SendOrder(order=order) if self.is_large_order(order) and not await self.is_exit(order):
                value = self.notional(order)
            case SendOpen(signal=signal, quantity=quantity):
                value = await self._value(said.account_id, signal, quantity)
                if not is_large(value, limit):
                    return None
            case _:
                return None
        what = "its value is not known" if value is None else f"its value is {canonical(value)}"
        text = f"{what}, and above {canonical(limit)} a person has to approve"
        return Reason(code="APPROVAL_REQUIRED", message=text, origin=EventSource.RISK)

    def is_large_order(self, intent: OrderIntent, sent: Decimal | None = ZERO) -> bool:
        """Whether an order needs a person's word, together with what was sent before it. None: that is not known."""
        limit = self.limit(intent.account_id)
        return limit is not None and is_large(_sum(self.notional(intent), sent), limit)

    async def is_large_trade(self, ask: OpenTrade, sent: Decimal | None = ZERO) -> bool:
        """The same of the entry of a trade. Raises UNAVAILABLE when its size cannot be computed."""
        limit = self.limit(ask.account_id)
        if limit is None:
            return False
        return is_large(_sum(await self._value(ask.account_id, ask.signal, ask.quantity), sent), limit)

    def notional(self, intent: OrderIntent) -> Decimal | None:
        last = self.last(intent.account_id, intent.symbol)
        return notional_of(intent, Exposure(multiplier=known_multiplier(intent), last_price=last))

    def worth(self, order: Order) -> Decimal | None:
        """What an order has come to or may still: all of it while it is open, else what has executed."""
        if order.is_open:
            return self.notional(order.intent)
        multiplier = known_multiplier(order.intent) if order.filled_quantity else ZERO
        return None if multiplier is None else multiply(order.filled_value, multiplier)

    async def _value(self, account_id: str, signal: Signal, quantity: Decimal | None) -> Decimal | None:
        if quantity is None:
            quantity = (await self._trades.size(account_id, signal)).quantity
        multiplier = multiplier_of_symbol(signal.symbol)
        return None if multiplier is None else multiply(multiply(quantity, signal.entry_price), multiplier)

    async def is_exit(self, intent: OrderIntent) -> bool:
        """Whether an order is proven to close: by the broker's position. Raises UNAVAILABLE when it cannot be read."""
        if intent.order_class is OrderClass.MULTILEG:
            return reduces(intent, Exposure())
        account = self._accounts[intent.account_id]
        try:
            held = held_of(await account.broker.positions(), intent.symbol)
        except BrokerError as error:
            text = f"the position in {intent.symbol} cannot be read: {error}"
            raise EngineError(Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", text, retry_after_s=2) from error
        side = closing_side(held)
        live = account.blotter.open(intent.account_id)
        closing = [one for one in live if one.intent.symbol == intent.symbol and one.intent.side is side]
        return reduces(intent, Exposure(position=held, closing_leaves=total(map(leaves_of, closing))))

    async def entry_of(self, said: Decided) -> OrderIntent | None:
        """The order that the gate is asked about: the intent itself, or a trade's entry. None for a trade's end."""
        match said.intent:
            case SendOrder(order=order):
                return order
            case SendOpen(signal=signal, quantity=quantity):
                if quantity is None:
                    quantity = await self._sized(said, signal)
                return _entry(said, signal, quantity)
            case _:
                return None

    async def _sized(self, said: Decided, signal: Signal) -> Decimal:
        sizing = await self._trades.size(said.account_id, signal)
        if not sizing.quantity:
            reason = sizing.reason or Reason(code="SIZED_TO_NOTHING")
            raise EngineError(
                Kind.FAILED_PRECONDITION,
                "RISK_DENIED",
                reason.message,
                metadata={"limit": reason.code, "decision_id": said.decision_id},
                subject=("orderd.Decision", said.decision_id),
            )
        return sizing.quantity

    def check_price(self, decision: Decision, reference_price: Decimal | None) -> None:
        """Raise when the market has moved away from the decision's price, or nobody knows where it is."""
        said = decision.said
        percent = self._accounts[said.account_id].policy.limits.approval_price_percent
        if percent is None or said.price is None:
            return
        now = self.last(said.account_id, said.symbol) or reference_price
        meta = {"decision_price": canonical(said.price), "max_percent": canonical(percent)}
        if now is None:
            text = "the price now is not known: say it as reference_price"
        elif not is_near(said.price, now, percent):
            text = f"the price is {canonical(now)}, more than {canonical(percent)} % from {canonical(said.price)}"
            meta["price"] = canonical(now)
        else:
            return
        raise EngineError(
            Kind.FAILED_PRECONDITION,
            "PRICE_MOVED",
            text,
            metadata=meta,
            subject=("orderd.Decision", said.decision_id),
        )


def _sum(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    return None if a is None or b is None else add(a, b)


def _entry(said: Decided, signal: Signal, quantity: Decimal) -> OrderIntent:
    """The entry of a trade that is not there yet."""
    return OrderIntent(
        account_id=said.account_id,
        client_order_id=keys.trade_key(said.decision_id, OrderRole.ENTRY, 1),
        symbol=signal.symbol,
        side=signal.side,
        terms=Terms(
            type=signal.type,
            time_in_force=signal.time_in_force,
            quantity=quantity,
            limit_price=signal.entry_price if signal.type is OrderType.LIMIT else None,
            stop_price=signal.entry_price if signal.type is OrderType.STOP else None,
            extended_hours=signal.extended_hours,
        ),
        strategy=signal.strategy,
        decision_id=said.decision_id,
        role=OrderRole.ENTRY,
        reference_price=signal.entry_price,
    )
