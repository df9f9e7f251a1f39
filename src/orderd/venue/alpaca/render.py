"""The venue's values as Alpaca's JSON objects (reference, sections 4, 5 and 8). Decimals become strings."""

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from orderd.venue.accounts import Account, CashMovement, Configuration, Position
from orderd.venue.assets import Asset, Contract
from orderd.venue.funds import Funds, available_quantity
from orderd.venue.money import CENT, MICRO, NANO, round_to, text
from orderd.venue.orders import AssetClass, Event, Execution, Order, OrderClass, Status
from orderd.venue.quotes import Quote
from orderd.venue.sessions import NEW_YORK, POST_CLOSE, PRE_OPEN, Day, Phase, Sessions
from orderd.venue.state import State

Json = dict[str, Any]

RATIO = Decimal("0.00001")


@lru_cache(maxsize=8192)
def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with up to nine digits, trailing zeros cut.

    The last three digits are made from the others: equal moments look equal, and readers meet nanoseconds.
    """
    digits = f"{moment.microsecond:06d}{(moment.microsecond * 7919 + moment.second * 104729) % 1000:03d}"
    seconds = moment.replace(microsecond=0, tzinfo=None).isoformat()
    digits = digits.rstrip("0")
    return f"{seconds}.{digits}Z" if digits else f"{seconds}Z"


def micros(moment: datetime) -> str:
    """RFC 3339 in UTC with up to six digits."""
    whole = moment.replace(tzinfo=None).isoformat()
    return (whole.rstrip("0") if "." in whole else whole) + "Z"


def _maybe(moment: datetime | None) -> str | None:
    return stamp(moment) if moment is not None else None


def _number(value: Decimal | None) -> str | None:
    return text(value) if value is not None else None


def average(order: Order) -> str | None:
    """The average fill price, rounded to nine decimals where it has more."""
    exact = order.average_price
    return text(round_to(exact, NANO)) if exact is not None else None


def _class_word(order: Order) -> str:
    """Simple orders have an empty class, except on options (recorded)."""
    if order.order_class is OrderClass.SIMPLE and order.asset_class is not AssetClass.OPTION:
        return ""
    return order.order_class.value


def order_json(order: Order, legs: list[Json] | None = None) -> Json:
    """The Order object of REST answers: every key present, also when null."""
    kind = order.type.value if order.type else ""
    shown: Json = {
        "asset_class": order.asset_class.value if order.asset_class else "",
        "asset_id": order.asset_id,
        "canceled_at": _maybe(order.canceled_at),
        "client_order_id": order.client_order_id,
        "created_at": stamp(order.created_at),
        "expired_at": _maybe(order.expired_at),
        "expires_at": _maybe(order.expires_at),
        "extended_hours": order.extended_hours,
        "failed_at": _maybe(order.failed_at),
        "filled_at": _maybe(order.filled_at),
        "filled_avg_price": average(order),
        "filled_qty": text(order.filled_quantity),
        "hwm": _number(order.high_water_mark),
        "id": order.order_id,
        "legs": legs,
        "limit_price": _number(order.limit_price),
        "notional": _number(order.notional),
        "order_class": _class_word(order),
        "order_type": kind,
        "position_intent": order.position_intent.value if order.position_intent else "",
        "qty": _number(order.quantity),
        "replaced_at": _maybe(order.replaced_at),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "side": order.side.value if order.side else "",
        "source": None,
        "status": order.status.value,
        "stop_price": _number(order.stop_price),
        "submitted_at": stamp(order.submitted_at),
        "subtag": None,
        "symbol": order.symbol,
        "time_in_force": order.time_in_force.value,
        "trail_percent": _number(order.trail_percent),
        "trail_price": _number(order.trail_price),
        "type": kind,
        "updated_at": stamp(order.updated_at),
    }
    if order.ratio is not None:
        shown["ratio_qty"] = text(order.ratio)
    return shown


def family_json(order: Order, legs: tuple[Order, ...]) -> Json:
    """The Order object with its legs inside; null when it has none."""
    return order_json(order, [order_json(leg) for leg in legs] or None)


def stream_order_json(order: Order, legs: tuple[Order, ...]) -> Json:
    """The Order object of stream messages: it tells of cancel requests, but not where the order came from."""
    shown = order_json(order, [stream_order_json(leg, ()) for leg in legs] or None)
    del shown["source"], shown["subtag"]
    shown["cancel_requested_at"] = _maybe(order.cancel_requested_at)
    return shown


def event_json(event: Event, settle_date: str) -> Json:
    """The data of one trade_updates message."""
    shown: Json = {
        "at": micros(event.at),
        "event_id": event.event_id,
        "event": event.kind.value,
        "timestamp": stamp(event.at),
        "order": stream_order_json(event.order, event.legs),
    }
    if event.execution_id:
        shown["execution_id"] = event.execution_id
    if event.quantity is not None and event.price is not None:
        shown |= {"price": text(event.price), "qty": text(event.quantity), "settle_date": settle_date}
    if event.position_quantity is not None:
        shown["position_qty"] = text(event.position_quantity)
        if event.order.asset_class is AssetClass.CRYPTO:
            shown["swap_rate"] = "1"
    if event.leg_executions:
        shown["legs"] = [_leg_fill_json(each) for each in event.leg_executions]
        shown["position_qtys"] = {symbol: text(held) for symbol, held in event.position_quantities}
    if event.previous_execution_id:
        shown["previous_execution_id"] = event.previous_execution_id
    return shown


def _leg_fill_json(execution: Execution) -> Json:
    return {
        "execution_id": execution.execution_id,
        "order_id": execution.order_id,
        "price": text(execution.price),
        "qty": text(execution.quantity),
        "symbol": execution.symbol,
        "timestamp": stamp(execution.at),
    }


def settle_date(sessions: Sessions, event: Event) -> str:
    """Coins settle the same day, the rest on the next trading day."""
    today = event.at.astimezone(NEW_YORK).date()
    if event.order.asset_class is AssetClass.CRYPTO:
        return today.isoformat()
    return sessions.settlement(today).isoformat()


def account_json(account: Account, funds: Funds, sessions: Sessions, now: datetime) -> Json:
    """The Account object, the exact keys of 2026 (no day-trade fields any more)."""

    def cents(value: Decimal) -> str:
        return text(round_to(value, CENT))

    return {
        "account_blocked": account.is_blocked,
        "account_number": account.number,
        "accrued_fees": cents(account.accrued_fees),
        "admin_configurations": {},
        "balance_asof": sessions.previous_date(now).isoformat(),
        "buying_power": cents(funds.buying_power),
        "cash": cents(funds.cash),
        "created_at": stamp(account.opened_at),
        "crypto_status": "ACTIVE",
        "crypto_tier": 1,
        "currency": "USD",
        "effective_buying_power": cents(funds.buying_power),
        "equity": cents(funds.equity),
        "id": account.account_id,
        "initial_margin": cents(funds.initial_margin),
        "intraday_adjustments": "0",
        "last_equity": text(account.last_equity),
        "last_maintenance_margin": "0",
        "long_market_value": cents(funds.long_value),
        "maintenance_margin": cents(funds.maintenance_margin),
        "multiplier": text(account.multiplier),
        "non_marginable_buying_power": cents(funds.cash_buying_power),
        "options_approved_level": account.options_level,
        "options_buying_power": cents(funds.cash_buying_power),
        "options_trading_level": account.options_level,
        "pending_reg_taf_fees": "0",
        "portfolio_value": cents(funds.equity),
        "position_market_value": cents(funds.long_value - funds.short_value),
        "regt_buying_power": cents(funds.regt_buying_power),
        "short_market_value": cents(funds.short_value),
        "shorting_enabled": not account.configuration.no_shorting,
        "sma": cents(funds.equity),
        "status": "ACTIVE",
        "trade_suspended_by_user": account.configuration.suspend_trade,
        "trading_blocked": account.is_blocked,
        "transfers_blocked": False,
        "user_configurations": None,
    }


def configuration_json(configuration: Configuration) -> Json:
    """The account's settings."""
    return {
        "disable_overnight_trading": configuration.disable_overnight_trading,
        "fractional_trading": configuration.fractional_trading,
        "max_margin_multiplier": configuration.max_margin_multiplier,
        "max_options_trading_level": configuration.max_options_trading_level,
        "no_shorting": configuration.no_shorting,
        "ptp_no_exception_entry": configuration.ptp_no_exception_entry,
        "suspend_trade": configuration.suspend_trade,
        "trade_confirm_email": configuration.trade_confirm_email,
    }


def position_json(state: State, account: Account, position: Position) -> Json:
    """The Position object: quantity, value and cost are negative when short."""
    asset = state.asset(position.symbol)
    quote = state.quote(position.symbol)
    free, _, _ = available_quantity(state, account, position.symbol)
    sign = 1 if position.quantity > 0 else -1
    cost = position.cost * position.multiplier
    value = position.quantity * quote.last * position.multiplier
    gain = value - cost
    return {
        "asset_class": asset.asset_class.value,
        "asset_id": asset.asset_id,
        "asset_marginable": asset.is_marginable,
        "avg_entry_price": _micro(position.average_price),
        "change_today": _ratio(quote.last - quote.previous_close, quote.previous_close),
        "cost_basis": _micro(cost),
        "current_price": text(quote.last),
        "exchange": asset.exchange,
        "lastday_price": text(quote.previous_close),
        "market_value": _micro(value),
        "qty": text(position.quantity),
        "qty_available": text(sign * free),
        "side": "long" if sign > 0 else "short",
        "symbol": asset.position_symbol,
        "unrealized_intraday_pl": _micro(gain),
        "unrealized_intraday_plpc": _ratio(gain, abs(cost)),
        "unrealized_pl": _micro(gain),
        "unrealized_plpc": _ratio(gain, abs(cost)),
    }


def _micro(value: Decimal) -> str:
    return text(round_to(value, MICRO))


def _ratio(part: Decimal, whole: Decimal) -> str:
    return text(round_to(part / whole, RATIO)) if whole else "0"


def activity_id(at: datetime, unique: str) -> str:
    """New York wall time in milliseconds, then the unique part (recorded)."""
    local = at.astimezone(NEW_YORK)
    return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}::{unique}"


def fill_json(execution: Execution) -> Json:
    """One FILL row: one execution."""
    return {
        "activity_type": "FILL",
        "cum_qty": text(execution.cumulative),
        "id": activity_id(execution.at, execution.execution_id),
        "leaves_qty": text(execution.leaves),
        "order_id": execution.order_id,
        "order_status": execution.order_status.value,
        "price": text(execution.price),
        "qty": text(execution.quantity),
        "side": execution.side.value,
        "symbol": execution.symbol,
        "transaction_time": micros(execution.at),
        "type": "fill" if execution.order_status is Status.FILLED else "partial_fill",
    }


def movement_json(movement: CashMovement) -> Json:
    """One row that is no trade."""
    shown: Json = {
        "activity_type": movement.kind,
        "activity_sub_type": "",
        "id": activity_id(movement.at, movement.movement_id),
        "date": movement.day or movement.at.astimezone(NEW_YORK).date().isoformat(),
        "net_amount": text(round_to(movement.net_amount, CENT)),
        "description": movement.description,
        "status": "executed",
        "created_at": micros(movement.at),
        "currency": "USD",
    }
    if movement.symbol:
        shown["symbol"] = movement.symbol.replace("/", "")
    if movement.price is not None:
        shown["price"] = text(movement.price)
    if movement.group_id:
        shown["group_id"] = movement.group_id
    if movement.quantity is not None:
        shown |= {"qty": text(movement.quantity), "per_share_amount": "0"}
    return shown


def asset_status(asset: Asset) -> str:
    """`active` or `inactive`."""
    return "active" if asset.is_active else "inactive"


def asset_json(asset: Asset) -> Json:
    """The Asset object of shares and coins."""
    is_coin = asset.asset_class is AssetClass.CRYPTO
    margin = 30 if asset.is_marginable else 100
    shown: Json = {
        "attributes": [
            *(["fractional_eh_enabled"] if asset.splits_outside_session else []),
            *([] if is_coin else ["has_options"]),
        ],
        "class": asset.asset_class.value,
        "easy_to_borrow": asset.is_shortable,
        "exchange": asset.exchange,
        "fractionable": asset.is_fractionable,
        "id": asset.asset_id,
        "maintenance_margin_requirement": margin,
        "margin_requirement_long": str(margin),
        "margin_requirement_short": str(margin),
        "marginable": asset.is_marginable,
        "name": asset.name,
        "shortable": asset.is_shortable,
        "status": asset_status(asset),
        "symbol": asset.symbol,
        "tradable": asset.is_tradable and asset.is_active,
    }
    step, least = asset.quantity_step, asset.minimum_quantity
    if is_coin:
        step, least = step or NANO, least or round_to(1 / asset.price, NANO)
        shown["price_increment"] = text(NANO)
    if step is not None:
        shown["min_trade_increment"] = text(step)
    if least is not None:
        shown["min_order_size"] = text(least)
    return shown if is_coin else shown | {"borrow_status": "easy_to_borrow" if asset.is_shortable else "not_available"}


def contract_json(asset: Asset, contract: Contract, underlying: Asset, quote: Quote) -> Json:
    """The option contract object."""
    return {
        "id": asset.asset_id,
        "symbol": asset.symbol,
        "name": asset.name,
        "status": "active",
        "tradable": asset.is_tradable,
        "expiration_date": contract.expiration.isoformat(),
        "root_symbol": contract.underlying,
        "underlying_symbol": contract.underlying,
        "underlying_asset_id": underlying.asset_id,
        "type": "call" if contract.is_call else "put",
        "style": "american",
        "strike_price": text(contract.strike),
        "size": text(asset.multiplier),
        "multiplier": text(asset.multiplier),
        "open_interest": "0",
        "open_interest_date": None,
        "close_price": text(quote.previous_close),
        "close_price_date": None,
    }


def clock_json(sessions: Sessions, now: datetime) -> Json:
    """The market clock, New York offset."""
    return {
        "timestamp": now.astimezone(NEW_YORK).isoformat(),
        "is_open": sessions.phase(now) is Phase.REGULAR,
        "next_open": sessions.next_open(now).astimezone(NEW_YORK).isoformat(),
        "next_close": sessions.next_close(now).astimezone(NEW_YORK).isoformat(),
    }


def day_json(sessions: Sessions, day: Day) -> Json:
    """One row of the calendar."""
    return {
        "date": day.date.isoformat(),
        "open": f"{day.open:%H:%M}",
        "close": f"{day.close:%H:%M}",
        "session_open": f"{PRE_OPEN:%H%M}",
        "session_close": f"{POST_CLOSE:%H%M}",
        "settlement_date": sessions.settlement(day.date).isoformat(),
    }
