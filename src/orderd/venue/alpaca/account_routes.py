"""Routes under /v2/account and /v2/positions."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from orderd.venue.accounts import CashMovement, Configuration, Position
from orderd.venue.alpaca import order_routes, parse_request, render
from orderd.venue.alpaca.call import Answer, Call, refusal
from orderd.venue.alpaca.refusals import MALFORMED, UNPROCESSABLE, Problem
from orderd.venue.funds import funds_of
from orderd.venue.money import NANO, exact, floor_to
from orderd.venue.orders import (
    AssetClass,
    Execution,
    NewOrder,
    OrderType,
    Reason,
    Refused,
    Side,
    Status,
    TimeInForce,
)
from orderd.venue.sessions import NEW_YORK

TRADE_TYPES: Final = frozenset({"FILL"})
_OTHER_WORDS = """
    TRANS MISC ACATC ACATS CFEE CSD CSW DIV DIVCGL DIVCGS DIVFEE DIVFT DIVNRA DIVROC DIVTW DIVTXEX FEE FOPT
    INT INTNRA INTTW JNL JNLC JNLS MA NC OCT OPASN OPCA OPCSH OPEXC OPEXP OPTRD OPXRC PTC PTR REORG SPIN SPLIT
    VOF WH
"""
OTHER_TYPES: Final = frozenset(_OTHER_WORDS.split())
MOST_ACTIVITIES: Final = 100


@exact
def account(call: Call) -> Answer:
    """GET /account."""
    funds = funds_of(call.venue.state, call.account)
    return 200, render.account_json(call.account, funds, call.venue.state.sessions, call.venue.now)


def configuration(call: Call) -> Answer:
    """GET /account/configurations."""
    return 200, render.configuration_json(call.account.configuration)


def configure(call: Call) -> Answer:
    """PATCH /account/configurations: unknown and retired settings are ignored."""
    known = {name: value for name, value in call.body.items() if name in Configuration.__struct_fields__}
    merged = {**msgspec.structs.asdict(call.account.configuration), **known}
    try:
        call.account.configuration = msgspec.convert(merged, Configuration)
    except msgspec.ValidationError as wrong:
        raise Problem(UNPROCESSABLE[0], str(wrong), UNPROCESSABLE[1]) from None
    return configuration(call)


# --- activities ---------------------------------------------------------------------------------------


@exact
def activities(call: Call) -> Answer:
    """GET /account/activities and /account/activities/{TYPE}: one bare array, newest first unless asked."""
    rows = [row for row in _rows(call, _wanted_types(call)) if _is_of(row, call.query.get("order_id", ""))]
    if call.query.get("direction") != "asc":
        rows.reverse()
    size = parse_request.whole(call.query, "page_size", MOST_ACTIVITIES, MOST_ACTIVITIES)
    start = max(_after_token(call, rows) + call.shift, 0)
    return 200, [_shown(row) for row in rows[start : start + size]]


Row = Execution | CashMovement


def _shown(row: Row) -> render.Json:
    match row:
        case Execution():
            return render.fill_json(row)
        case CashMovement():
            return render.movement_json(row)


def _is_of(row: Row, order_id: str) -> bool:
    return not order_id or (isinstance(row, Execution) and row.order_id == order_id)


def _wanted_types(call: Call) -> frozenset[str]:
    named = parse_request.names(call.query, "activity_types")
    wanted = frozenset({call.parts[0].upper()}) if call.parts else named
    category = call.query.get("category", "")
    if wanted and category and not call.parts:
        raise Problem(MALFORMED[0], "activity_types and category exclude each other", MALFORMED[1])
    unknown = sorted(wanted - TRADE_TYPES - OTHER_TYPES)
    if unknown:
        raise Problem(MALFORMED[0], f"invalid activity type: {unknown[0]}", MALFORMED[1])
    if category:
        return TRADE_TYPES if category == "trade_activity" else OTHER_TYPES
    return wanted or TRADE_TYPES | OTHER_TYPES


def _rows(call: Call, wanted: frozenset[str]) -> list[Row]:
    """Oldest first. A busted or corrected trade has no row any more; a correction has its own."""
    is_within = _period(call)
    rows: list[Row] = []
    if "FILL" in wanted:
        rows += [each for each in call.account.live_executions() if is_within(each.at)]
    rows += [each for each in call.account.movements if each.kind in wanted and is_within(each.at)]
    return sorted(rows, key=lambda row: row.at)


def _period(call: Call) -> Callable[[datetime], bool]:
    date = parse_request.day(call.query, "date")
    since, until = parse_request.moment(call.query, "after"), parse_request.moment(call.query, "until")
    if date is not None:
        return lambda at: at.astimezone(NEW_YORK).date() == date
    return lambda at: (since is None or at > since) and (until is None or at < until)


def _after_token(call: Call, rows: list[Row]) -> int:
    token = call.query.get("page_token", "")
    if not token:
        return 0
    for place, row in enumerate(rows):
        unique = row.execution_id if isinstance(row, Execution) else row.movement_id
        if token.endswith(unique) and token == render.activity_id(row.at, unique):
            return place + 1
    raise Problem(MALFORMED[0], f"invalid page_token: {token}", MALFORMED[1])


@exact
def history(call: Call) -> Answer:
    """GET /account/portfolio/history: yesterday's equity and now's."""
    funds = funds_of(call.venue.state, call.account)
    base, now = call.account.last_equity, call.venue.now
    gain = funds.equity - base
    return 200, {
        "timestamp": [int((now - timedelta(days=1)).timestamp()), int(now.timestamp())],
        "equity": [float(base), float(funds.equity)],
        "profit_loss": [0.0, float(gain)],
        "profit_loss_pct": [0.0, float(gain / base) if base else 0.0],
        "base_value": float(base),
        "base_value_asof": call.venue.state.sessions.previous_date(now).isoformat(),
        "timeframe": call.query.get("timeframe") or "1D",
    }


# --- positions ----------------------------------------------------------------------------------------


@exact
def positions(call: Call) -> Answer:
    """GET /positions."""
    shown = [render.position_json(call.venue.state, call.account, each) for each in call.account.positions.values()]
    return 200, shown


def _position(call: Call) -> Position | None:
    asset = call.venue.state.assets.find("/".join(call.parts))
    return call.account.positions.get(asset.symbol) if asset else None


NO_POSITION: Final = Refused(reason=Reason.UNKNOWN_POSITION)


@exact
def position(call: Call) -> Answer:
    """GET /positions/{symbol or asset id}."""
    held = _position(call)
    if held is None:
        return refusal(NO_POSITION)
    return 200, render.position_json(call.venue.state, call.account, held)


@exact
def close_position(call: Call) -> Answer:
    """DELETE /positions/{symbol or asset id}: a market order for all, `qty`, or `percentage` of it."""
    held = _position(call)
    if held is None:
        return refusal(NO_POSITION)
    return _close(call, held, _part(call, abs(held.quantity)))


def _part(call: Call, whole: Decimal) -> Decimal:
    quantity, share = parse_request.number(call.query, "qty"), parse_request.number(call.query, "percentage")
    if quantity is not None and share is not None:
        raise Problem(UNPROCESSABLE[0], "only one of qty or percentage is accepted", UNPROCESSABLE[1])
    if share is not None:
        if not 0 < share <= 100:  # noqa: PLR2004 - per cent
            raise Problem(UNPROCESSABLE[0], "percentage must be between 0 and 100", UNPROCESSABLE[1])
        return floor_to(whole * share / 100, NANO)
    return whole if quantity is None else quantity


def _close(call: Call, held: Position, quantity: Decimal) -> Answer:
    asset = call.venue.state.asset(held.symbol)
    is_coin = asset.asset_class is AssetClass.CRYPTO
    order = call.venue.submit(
        call.account,
        NewOrder(
            symbol=held.symbol,
            side=Side.SELL if held.quantity > 0 else Side.BUY,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.GTC if is_coin else TimeInForce.DAY,
            quantity=quantity,
        ),
    )
    return refusal(order) if isinstance(order, Refused) else (200, render.order_json(order))


@exact
def close_all(call: Call) -> Answer:
    """DELETE /positions: 207; with cancel_orders the cancelled orders come first, named by their id."""
    entries: list[Any] = []
    if call.flag("cancel_orders"):
        cancelled = order_routes.cancel_entries(call)
        entries = [{"symbol": each["id"], "status": each["status"], "body": each["body"]} for each in cancelled]
        for each in cancelled:
            call.venue.end(each["id"], Status.CANCELED)
    for held in list(call.account.positions.values()):
        status, body = _close(call, held, abs(held.quantity))
        entries.append({"symbol": held.symbol.replace("/", ""), "status": status, "body": body})
    return 207, entries
