"""What is wrong with a request in itself, whatever the account holds (reference, sections 3, 6 and 7)."""

from datetime import time
from decimal import Decimal
from typing import Final

from orderd.venue.asking import Ask, invalid
from orderd.venue.assets import Asset
from orderd.venue.money import CENT, round_to, text
from orderd.venue.orders import (
    CLOSING,
    AssetClass,
    NewOrder,
    OrderClass,
    OrderType,
    Reason,
    Refused,
    Side,
    TimeInForce,
)
from orderd.venue.sessions import NEW_YORK

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


def account(ask: Ask) -> Refused | None:
    if ask.account.is_blocked or ask.account.configuration.suspend_trade:
        return Refused(reason=Reason.ACCOUNT_BLOCKED)
    return None


def asset(ask: Ask) -> Refused | None:
    if not (ask.asset.is_tradable and ask.asset.is_active):
        return Refused(reason=Reason.NOT_TRADABLE, details={"symbol": ask.asset.symbol})
    if ask.is_fractional and not ask.asset.is_fractionable:
        return Refused(reason=Reason.NOT_FRACTIONABLE, details={"symbol": ask.asset.symbol})
    return None


def kind(ask: Ask) -> Refused | None:
    kind = ask.asset.asset_class
    if ask.new.type not in TYPES[kind]:
        word = {AssetClass.CRYPTO: "crypto", AssetClass.OPTION: "options"}.get(kind, "equity")
        return invalid(f"invalid order type for {word} order")
    if ask.new.time_in_force not in TIMES[kind]:
        return invalid(f"invalid time_in_force {ask.new.time_in_force} for {kind} order")
    if ask.new.time_in_force not in DAY_OR_GTC and ask.new.type not in {OrderType.MARKET, OrderType.LIMIT}:
        return invalid(f"time_in_force {ask.new.time_in_force} needs a market or limit order")
    return None


def fraction(ask: Ask) -> Refused | None:
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


def amount(ask: Ask) -> Refused | None:
    if ask.new.quantity is not None and ask.new.quantity <= 0:
        return invalid("qty must be > 0")
    if ask.new.notional is not None and ask.new.notional < 1:
        return invalid("notional must be at least 1")
    is_coin_buy = ask.asset.asset_class is AssetClass.CRYPTO and ask.side is Side.BUY
    if is_coin_buy and ask.quantity * ask.basis < LEAST_COIN_COST:
        return Refused(reason=Reason.MINIMUM_COST)
    return None


def prices(ask: Ask) -> Refused | None:
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


def hours(ask: Ask) -> Refused | None:
    new = ask.new
    if new.extended_hours and not (new.type is OrderType.LIMIT and new.time_in_force in DAY_OR_GTC):
        return invalid("extended hours order must be DAY or GTC limit orders")
    if new.extended_hours and new.order_class is not OrderClass.SIMPLE:
        return invalid("extended hours order must be simple orders")
    if new.extended_hours and ask.is_fractional and not ask.asset.splits_outside_session:
        return invalid("extended hours orders for fractions of this asset are not supported")
    gate = AUCTION_GATES.get(new.time_in_force)
    if gate is not None and not ask.state.sessions.is_always_open:
        clock = ask.state.now.astimezone(NEW_YORK).time()
        if gate[0] <= clock < gate[1]:
            return invalid(f"{new.time_in_force} orders are not accepted at this time")
    return None


def order_class(ask: Ask) -> Refused | None:
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
    is_oco = new.order_class is OrderClass.OCO
    way = ask.side.opposite if is_oco else ask.side
    base = ask.quote.last if is_oco else new.limit_price or ask.quote.touch(ask.side)
    above, below = (">= base_price +", "<= base_price -") if way is Side.BUY else ("<= base_price -", ">= base_price +")
    profit, stop = new.take_profit_limit, new.stop_loss_stop
    if profit is not None and not is_oco and way.sign * (profit - base) < CENT:
        return invalid(f"take_profit.limit_price must be {above} 0.01")
    if stop is not None and way.sign * (base - stop) < CENT:
        return invalid(f"stop_loss.stop_price must be {below} 0.01")
    return None


def stop_side(ask: Ask) -> Refused | None:
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
