"""Why a request would be refused, in the order in which the reasons are looked for. Changes nothing.

The rules are the reference's sections 3, 6, 7 and 13: a venue that is kinder than the broker proves nothing.
"""

from collections.abc import Callable
from datetime import time
from decimal import Decimal
from typing import Final

import msgspec

from orderd.venue import matching
from orderd.venue.accounts import Account, intent_of
from orderd.venue.assets import Asset
from orderd.venue.funds import available_quantity, available_to, funds_of
from orderd.venue.money import CENT, ONE, ZERO, is_whole, round_to, text
from orderd.venue.orders import (
    CLOSING,
    COMPLEX,
    AssetClass,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    PositionIntent,
    Reason,
    Refused,
    Side,
    TimeInForce,
)
from orderd.venue.quotes import Quote
from orderd.venue.sessions import NEW_YORK, Phase
from orderd.venue.state import State

LONGEST_CLIENT_ID: Final = 128
SHORT_RESERVE: Final = Decimal("1.03")
LEAST_COIN_COST: Final = Decimal(10)
PRICED: Final = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
STOPPED: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
DAY_OR_GTC: Final = frozenset({TimeInForce.DAY, TimeInForce.GTC})
AUCTIONS: Final = frozenset({TimeInForce.OPG, TimeInForce.CLS})
TYPES: Final = {
    AssetClass.EQUITY: frozenset(OrderType),
    AssetClass.CRYPTO: frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_LIMIT}),
    AssetClass.OPTION: frozenset({OrderType.MARKET, OrderType.LIMIT}),
}
TIMES: Final = {
    AssetClass.EQUITY: frozenset(TimeInForce),
    AssetClass.CRYPTO: frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    AssetClass.OPTION: frozenset({TimeInForce.DAY}),
}
AUCTION_GATES: Final = {
    TimeInForce.OPG: (time(9, 28), time(19)),
    TimeInForce.CLS: (time(15, 50), time(19)),
}


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request with everything that judging it needs."""

    state: State
    account: Account
    new: NewOrder
    asset: Asset
    quote: Quote
    side: Side
    intent: PositionIntent
    basis: Decimal
    """Price that the cost is reckoned with, dollars a unit."""

    @property
    def quantity(self) -> Decimal:
        """Units asked for; a notional request's are those its dollars buy."""
        if self.new.quantity is not None:
            return self.new.quantity
        return (self.new.notional or ZERO) / self.basis if self.basis else ZERO

    @property
    def is_fractional(self) -> bool:
        """Whether it needs a fractionable asset."""
        return self.new.notional is not None or not is_whole(self.quantity)


def invalid(message: str) -> Refused:
    """A request that is wrong in itself."""
    return Refused(reason=Reason.INVALID, message=message)


def ask_of(state: State, account: Account, new: NewOrder, asset: Asset) -> Ask:
    """Put a single-symbol request together with the market and the position it meets."""
    side = new.side or Side.BUY
    quote = state.quotes.open(asset)
    implied = intent_of(account.held(asset.symbol), side)
    intent = new.position_intent or implied if asset.asset_class is AssetClass.OPTION else implied
    return Ask(
        state=state,
        account=account,
        new=new,
        asset=asset,
        quote=quote,
        side=side,
        intent=intent,
        basis=_basis(state, new, side, quote),
    )


def _basis(state: State, new: NewOrder, side: Side, quote: Quote) -> Decimal:
    """The price that buying power is reckoned with (reference, section 13)."""
    match state.phase():
        case Phase.REGULAR:
            market = quote.touch(side) or quote.last
        case Phase.EXTENDED:
            market = quote.middle
        case Phase.CLOSED:
            market = quote.last
    if side is Side.SELL:
        return max(new.limit_price or ZERO, quote.ask * SHORT_RESERVE)
    if new.limit_price is not None:
        return new.limit_price
    return matching.cap_of(new.stop_price) if new.stop_price is not None else market


def client_id(state: State, account: Account, client_order_id: str) -> Refused | None:
    """A client's id is at most 128 characters and used once, for ever (reference, section 10)."""
    if len(client_order_id) > LONGEST_CLIENT_ID:
        return Refused(reason=Reason.CLIENT_ORDER_ID_TOO_LONG)
    if client_order_id and state.book.by_client_id(account.account_id, client_order_id) is not None:
        return Refused(reason=Reason.CLIENT_ORDER_ID_TAKEN)
    return None


def new_order(ask: Ask) -> Refused | None:
    """The first reason against a single-symbol order, or None."""
    return next((refused for check in CHECKS if (refused := check(ask)) is not None), None)


def _account(ask: Ask) -> Refused | None:
    if ask.account.is_blocked or ask.account.configuration.suspend_trade:
        return Refused(reason=Reason.ACCOUNT_BLOCKED)
    return None


def _asset(ask: Ask) -> Refused | None:
    if not ask.asset.is_tradable:
        return Refused(reason=Reason.NOT_TRADABLE, details={"symbol": ask.asset.symbol})
    if ask.is_fractional and not ask.asset.is_fractionable:
        return Refused(reason=Reason.NOT_FRACTIONABLE, details={"symbol": ask.asset.symbol})
    return None


def _type(ask: Ask) -> Refused | None:
    kind = ask.asset.asset_class
    if ask.new.type not in TYPES[kind]:
        word = {AssetClass.CRYPTO: "crypto", AssetClass.OPTION: "options"}.get(kind, "equity")
        return invalid(f"invalid order type for {word} order")
    if ask.new.time_in_force not in TIMES[kind]:
        return invalid(f"invalid time_in_force {ask.new.time_in_force} for {kind} order")
    if ask.new.time_in_force not in DAY_OR_GTC and ask.new.type not in {OrderType.MARKET, OrderType.LIMIT}:
        return invalid(f"time_in_force {ask.new.time_in_force} needs a market or limit order")
    return None


def _fraction(ask: Ask) -> Refused | None:
    if ask.asset.asset_class is not AssetClass.EQUITY or not ask.is_fractional:
        return None
    if not ask.account.configuration.fractional_trading:
        return Refused(reason=Reason.NOT_FRACTIONABLE, details={"symbol": ask.asset.symbol})
    if ask.new.time_in_force is not TimeInForce.DAY:
        return invalid("fractional orders must be DAY orders")
    if ask.new.order_class is not OrderClass.SIMPLE or ask.new.type is OrderType.TRAILING_STOP:
        return invalid("fractional orders must be simple orders")
    if ask.new.notional is not None and ask.new.type is not OrderType.MARKET:
        return invalid("notional orders must be market orders")
    return None


def _amount(ask: Ask) -> Refused | None:
    if ask.new.quantity is not None and ask.new.quantity <= 0:
        return invalid("qty must be > 0")
    if ask.new.notional is not None and ask.new.notional < 1:
        return invalid("notional must be at least 1")
    if ask.asset.asset_class is AssetClass.CRYPTO and ask.side is Side.BUY:
        if ask.quantity * ask.basis < LEAST_COIN_COST:
            return Refused(reason=Reason.MINIMUM_COST)
    return None


def _prices(ask: Ask) -> Refused | None:
    new = ask.new
    if (new.limit_price is not None) != (new.type in PRICED):
        return invalid(f"{new.type} order requires {'a' if new.type in PRICED else 'no'} limit_price")
    if (new.stop_price is not None) != (new.type in STOPPED):
        return invalid(f"{new.type} order requires {'a' if new.type in STOPPED else 'no'} stop_price")
    is_trailing = new.type is OrderType.TRAILING_STOP
    if (new.trail_price is None) == (new.trail_percent is None) if is_trailing else _trails(new):
        return invalid("a trailing_stop order requires either trail_price or trail_percent")
    named = {
        "limit_price": new.limit_price,
        "stop_price": new.stop_price,
        "take_profit.limit_price": new.take_profit_limit,
        "stop_loss.stop_price": new.stop_loss_stop,
        "stop_loss.limit_price": new.stop_loss_limit,
    }
    return next((bad for name, price in named.items() if (bad := price_step(ask.asset, name, price))), None)


def _trails(new: NewOrder) -> bool:
    return new.trail_price is not None or new.trail_percent is not None


def price_step(asset: Asset, name: str, price: Decimal | None) -> Refused | None:
    """A price is positive and on the asset's step: cents from one dollar up, else hundredths of one (section 7)."""
    if price is None:
        return None
    if price <= 0:
        return invalid(f"{name} must be > 0")
    if round_to(price, asset.tick(price)) != price:
        return Refused(reason=Reason.SUB_PENNY, details={"field": name, "price": text(price)})
    return None


def _hours(ask: Ask) -> Refused | None:
    new = ask.new
    if new.extended_hours and not (new.type is OrderType.LIMIT and new.time_in_force in DAY_OR_GTC):
        return invalid("extended hours order must be DAY or GTC limit orders")
    if new.extended_hours and new.order_class is not OrderClass.SIMPLE:
        return invalid("extended hours order must be simple orders")
    gate = AUCTION_GATES.get(new.time_in_force)
    if gate is not None and not ask.state.sessions.is_always_open:
        clock = ask.state.now.astimezone(NEW_YORK).time()
        if gate[0] <= clock < gate[1]:
            return invalid(f"{new.time_in_force} orders are not accepted at this time")
    return None


def _class(ask: Ask) -> Refused | None:
    new = ask.new
    if new.order_class is OrderClass.SIMPLE:
        return None
    if ask.asset.asset_class is not AssetClass.EQUITY:
        return invalid(f"{new.order_class} orders are not supported for {ask.asset.asset_class}")
    if new.time_in_force not in DAY_OR_GTC:
        return invalid("complex orders must be DAY or GTC orders")
    if new.type not in {OrderType.MARKET, OrderType.LIMIT}:
        return invalid(f"{new.order_class} orders must be market or limit orders")
    return _exits(ask)


def _exits(ask: Ask) -> Refused | None:
    new = ask.new
    given = (new.take_profit_limit is not None, new.stop_loss_stop is not None)
    match new.order_class:
        case OrderClass.BRACKET if given != (True, True):
            return invalid("bracket orders require take_profit.limit_price and stop_loss.stop_price")
        case OrderClass.OTO if given.count(True) != 1:
            return invalid("oto orders require exactly one of take_profit and stop_loss")
        case OrderClass.OCO if new.type is not OrderType.LIMIT:
            return invalid("oco orders must be limit orders")
        case OrderClass.OCO if not given[1]:
            return invalid("oco orders require stop_loss.stop_price")
        case OrderClass.OCO if ask.intent not in CLOSING:
            return invalid("oco orders must be exit orders")
        case _:
            return _exit_prices(ask)


def _exit_prices(ask: Ask) -> Refused | None:
    """Take-profit a cent better than the base, stop a cent worse (reference, section 7)."""
    new = ask.new
    if new.order_class is OrderClass.OCO:
        profit, base = new.limit_price or ZERO, ask.quote.last
        way = ask.side.opposite
    else:
        profit, base = new.take_profit_limit, new.limit_price or ask.quote.touch(ask.side)
        way = ask.side
    bound = "+" if way is Side.BUY else "-"
    relation = (">=", "<=") if way is Side.BUY else ("<=", ">=")
    if profit is not None and new.order_class is not OrderClass.OCO:
        if way.sign * (profit - base) < CENT:
            return invalid(f"take_profit.limit_price must be {relation[0]} base_price {bound} 0.01")
    stop = new.stop_loss_stop
    if stop is not None and way.sign * (base - stop) < CENT:
        return invalid(f"stop_loss.stop_price must be {relation[1]} base_price {'-' if bound == '+' else '+'} 0.01")
    return None


def _stop(ask: Ask) -> Refused | None:
    stop, market = ask.new.stop_price, ask.quote.last
    if stop is None:
        return None
    is_right = stop > market if ask.side is Side.BUY else stop < market
    if is_right:
        return None
    word = "greater" if ask.side is Side.BUY else "less"
    return Refused(
        reason=Reason.STOP_PRICE,
        details={"relation": word, "market_price": text(market), "stop_price": text(stop)},
    )


def _wash(ask: Ask) -> Refused | None:
    """The wash-trade table: trailing stops and complex orders are exempt (reference, section 6; F 13817)."""
    exempt = ask.new.order_class in COMPLEX or ask.new.type is OrderType.TRAILING_STOP
    if exempt or not ask.state.settings.refuses_wash_trades:
        return None
    for other in ask.state.book.open_of(ask.account.account_id, ask.asset.symbol):
        if other.side is ask.side or not _can_meet(ask, other):
            continue
        kind = "limit" if other.type is OrderType.LIMIT else "market/stop"
        return Refused(
            reason=Reason.WASH_TRADE,
            details={
                "existing_order_id": other.order_id,
                "reject_reason": f"opposite side {kind} order exists",
            },
        )
    return None


def _can_meet(ask: Ask, other: Order) -> bool:
    if other.order_class in COMPLEX or other.order_class is OrderClass.MLEG:
        return False
    if other.type is OrderType.TRAILING_STOP:
        return False
    if other.type is not OrderType.LIMIT or other.limit_price is None:
        return True
    if ask.new.type is not OrderType.LIMIT or ask.new.limit_price is None:
        return True
    return matching.is_within(ask.side, other.limit_price, ask.new.limit_price)


def _opposite(ask: Ask) -> Refused | None:
    """No long and short at once: not even as two opening orders (Alpaca-API#82)."""
    wanted = {
        PositionIntent.BUY_TO_OPEN: PositionIntent.SELL_TO_OPEN,
        PositionIntent.SELL_TO_OPEN: PositionIntent.BUY_TO_OPEN,
    }.get(ask.intent)
    if wanted is None or ask.asset.asset_class is not AssetClass.EQUITY:
        return None
    for other in ask.state.book.open_of(ask.account.account_id, ask.asset.symbol):
        if other.position_intent is wanted and not other.parent_id:
            return Refused(reason=Reason.OPPOSITE_OPEN, details={"side": ask.side.value})
    return None


def _units(ask: Ask) -> Refused | None:
    """A closing order cannot give more than is held and free; the rest of the reasons concern short sales."""
    if ask.intent in CLOSING:
        return not_enough(ask.state, ask.account, ask.asset.symbol, ask.quantity)
    if ask.side is Side.BUY:
        return None
    if ask.asset.asset_class is AssetClass.CRYPTO:
        return not_enough(ask.state, ask.account, ask.asset.symbol, ask.quantity)
    if ask.asset.asset_class is AssetClass.OPTION:
        return _covered(ask)
    if ask.is_fractional:
        return Refused(reason=Reason.FRACTIONAL_SHORT)
    if ask.account.configuration.no_shorting:
        return Refused(reason=Reason.SHORTING_OFF)
    if not ask.asset.is_shortable:
        return Refused(reason=Reason.NOT_SHORTABLE, details={"symbol": ask.asset.symbol})
    return None


def not_enough(state: State, account: Account, symbol: str, quantity: Decimal) -> Refused | None:
    """A closing order for more than the position's free units is refused, naming what holds the others."""
    free, held, orders = available_quantity(state, account, symbol)
    if quantity <= free:
        return None
    return Refused(
        reason=Reason.INSUFFICIENT_QUANTITY,
        details={
            "requested": text(quantity),
            "available": text(free),
            "existing_qty": text(abs(account.held(symbol))),
            "held_for_orders": text(held),
            "symbol": symbol,
        },
        related=orders,
    )


def _covered(ask: Ask) -> Refused | None:
    """A written call needs its shares; a written put needs the strike in cash (level 1)."""
    from_symbol = ask.asset.symbol[:-15]
    underlying = ask.state.asset(from_symbol)
    required = ask.quantity * ask.asset.multiplier
    if ask.asset.symbol[-9] == "P":
        return _affordable(ask, required * Decimal(ask.asset.symbol[-8:]).scaleb(-3))
    free, _, _ = available_quantity(ask.state, ask.account, from_symbol)
    if ask.account.held(from_symbol) > 0 and free >= required:
        return None
    return Refused(
        reason=Reason.COVERED_CALL,
        details={
            "symbol": ask.asset.symbol,
            "required_qty": text(required),
            "available_qty": text(free),
            "underlying_asset_id": underlying.asset_id,
        },
    )


def _money(ask: Ask) -> Refused | None:
    if ask.intent in CLOSING or (ask.side is Side.SELL and ask.asset.asset_class is AssetClass.OPTION):
        return None
    if ask.new.notional is not None:
        return _affordable(ask, ask.new.notional)
    return _affordable(ask, ask.quantity * ask.basis * ask.asset.multiplier)


def _affordable(ask: Ask, cost: Decimal) -> Refused | None:
    return affordable(ask.state, ask.account, ask.asset.asset_class, cost)


def affordable(state: State, account: Account, asset_class: AssetClass, cost: Decimal) -> Refused | None:
    """Opening orders need buying power."""
    available = available_to(funds_of(state, account), asset_class)
    if cost <= available:
        return None
    return Refused(
        reason=Reason.INSUFFICIENT_BUYING_POWER,
        details={"buying_power": text(round_to(available, CENT)), "cost_basis": text(round_to(cost, CENT))},
    )


CHECKS: Final[tuple[Callable[[Ask], Refused | None], ...]] = (
    _account,
    _asset,
    _amount,
    _type,
    _fraction,
    _prices,
    _hours,
    _class,
    _stop,
    _wash,
    _opposite,
    _units,
    _money,
)


def reserve_price(ask: Ask) -> Decimal:
    """Buying power a unit of this order holds while it is open; closing orders hold none."""
    if ask.intent in CLOSING or (ask.side is Side.SELL and ask.asset.asset_class is AssetClass.OPTION):
        return ZERO
    return ask.basis * (ask.asset.multiplier or ONE)
