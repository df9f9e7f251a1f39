"""Alpaca's JSON to the engine's words. Pure: bytes in, values out, `ParseError` for what cannot be read.

Shapes are those of the reference's order, account, position, activity and stream chapters.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from orderd.brokers.alpaca import words
from orderd.brokers.alpaca.fields import (
    Json,
    Moment,
    ParseError,
    as_list,
    as_object,
    decode,
    flag,
    moment,
    number,
    read_moment,
    required,
    required_number,
    said_flag,
    text,
    when,
)
from orderd.brokers.alpaca.symbols import canonical
from orderd.core.activities import Activity as HoldingActivity
from orderd.core.activities import ActivityKind
from orderd.core.facts import Execution, View
from orderd.core.order import AssetClass, OrderClass, OrderType, Phase, Terms
from orderd.core.values import BrokerOrderId, ExecutionId, Value
from orderd.ports import BrokerAccount, BrokerClock, BrokerPosition, BrokerReport, ReportKind

_ZERO = Decimal(0)

# -------------------------------------------------------------------------------------------------------------- orders


def order(body: bytes, *, asked_ns: int | None = None) -> View:
    """Read one order. Raises ParseError."""
    return view(as_object(decode(body), "order"), asked_ns=asked_ns)


def view(row: Json, *, asked_ns: int | None = None, parent: str = "", parent_type: str = "") -> View:
    """Read one order object, its legs included. Raises ParseError without an id or a status."""
    identity = required(row, "id")
    status = required(row, "status")
    phase = words.PHASES.get(status, Phase.UNKNOWN)
    own_type = text(row, "type") or text(row, "order_type") or parent_type
    if parent and row.get("legs"):
        raise ParseError("a leg with legs of its own")  # there is one level (the reference's order chapter)
    legs = tuple(
        view(as_object(leg, "leg"), asked_ns=asked_ns, parent=identity, parent_type=own_type)
        for leg in as_list(row.get("legs") or [], "legs")
    )
    asset_class = _asset_class(row, legs)
    order_class = words.CLASSES.get(text(row, "order_class"))
    is_parent_of_legs = order_class is OrderClass.MULTILEG and not parent
    updated = moment(row, "updated_at")
    ended = words.ENDED_AT.get(phase)
    return View(
        broker_order_id=BrokerOrderId(identity),
        phase=phase,
        status=status,
        client_order_id=text(row, "client_order_id"),
        symbol=canonical(text(row, "symbol"), asset_class),
        asset_class=asset_class,
        # The parent of a multi-leg order has no side; the stream prints one all the same.
        side=None if is_parent_of_legs else words.SIDES.get(text(row, "side")),
        position_intent=words.INTENTS.get(text(row, "position_intent")),
        terms=_terms(row, own_type),
        filled_quantity=number(row, "filled_qty") or _ZERO,
        average_price=_average(row),
        updated_ns=updated.ns if updated else 0,
        asked_ns=asked_ns,
        created_time=when(row, "created_at"),
        submitted_time=when(row, "submitted_at"),
        filled_time=when(row, "filled_at"),
        ended_time=when(row, ended) if ended else None,
        expires_time=when(row, "expires_at"),
        replaces=text(row, "replaces"),
        replaced_by=text(row, "replaced_by"),
        order_class=order_class.value if order_class else text(row, "order_class"),
        parent_broker_order_id=parent,
        legs=legs,
        ratio=number(row, "ratio_qty"),
    )


def _asset_class(row: Json, legs: Sequence[View]) -> AssetClass | None:
    """Return its asset class; a multi-leg parent prints none and has that of its legs."""
    if own := text(row, "asset_class"):
        return words.ASSET_CLASSES.get(own)
    of_legs = {leg.asset_class for leg in legs}
    return of_legs.pop() if len(of_legs) == 1 else None


def _average(row: Json) -> Decimal | None:
    """Return the average fill price; before any fill it is null (a 0 says the same)."""
    average = number(row, "filled_avg_price")
    return average if average or number(row, "filled_qty") else None


def _terms(row: Json, own_type: str) -> Terms | None:
    """Return the terms in force, None when the type or the time in force is a word nobody knows."""
    order_type = words.TYPES.get(own_type)
    time_in_force = words.TIMES_IN_FORCE.get(text(row, "time_in_force"))
    if order_type is None or time_in_force is None:
        return None
    is_trailing = order_type is OrderType.TRAILING_STOP
    return Terms(
        type=order_type,
        time_in_force=time_in_force,
        quantity=number(row, "qty"),
        notional=number(row, "notional"),
        limit_price=number(row, "limit_price"),
        # A trailing stop's stop price is where it stands now, not what was asked.
        stop_price=None if is_trailing else number(row, "stop_price"),
        trail_price=number(row, "trail_price"),
        trail_percent=number(row, "trail_percent"),
        extended_hours=flag(row, "extended_hours"),
    )


def orders(body: bytes, *, asked_ns: int | None = None) -> tuple[tuple[View, bytes], ...]:
    """Read a list of orders, each with its own bytes. Raises ParseError: a list with an unreadable row is no list."""
    raw = _raw_list(body)
    return tuple((order(row, asked_ns=asked_ns), row) for row in raw)


_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def _raw_list(body: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(bytes(row) for row in _RAW_LIST.decode(body))
    except (ValueError, RecursionError):
        raise ParseError("not a JSON array") from None


class Entry(Value, frozen=True, kw_only=True):
    """One line of a 207 answer: `name` is the order id (or symbol) it is about.

    The body of a cancelled leg is its PARENT order, so an entry is matched by `name`, never by its body.
    """

    name: str
    status: int
    order: View | None = None
    code: str = ""
    message: str = ""


def entries(body: bytes) -> tuple[Entry, ...]:
    """Read a 207 answer of cancel-all or close-all. Raises ParseError."""
    return tuple(_entry(as_object(row, "entry")) for row in as_list(decode(body), "207 answer"))


def _entry(row: Json) -> Entry:
    name = text(row, "id") or required(row, "symbol")
    status = int(required_number(row, "status"))
    if row.get("body") is None:
        return Entry(name=name, status=status)
    inner = as_object(row["body"], "entry body")
    if "message" in inner:
        return Entry(name=name, status=status, code=text(inner, "code"), message=text(inner, "message"))
    return Entry(name=name, status=status, order=view(inner))


# ------------------------------------------------------------------------------------------------------------- stream


def report(data: Json, raw: bytes) -> BrokerReport:
    """Read the `data` of a trade update. Raises ParseError."""
    event = required(data, "event")
    kind = words.KINDS.get(event, ReportKind.UPDATE)
    seen = view(as_object(data.get("order"), "order"))
    occurred = moment(data, "timestamp") or moment(data, "at")
    previous = ""
    if kind in {ReportKind.BUST, ReportKind.CORRECT}:
        previous = required(data, "previous_execution_id")
        executions = _amended(data, seen, occurred, kind)
    elif event in words.FILL_EVENTS:
        executions = _executions(data, seen, occurred)
    else:
        executions = ()
    return BrokerReport(
        kind=kind,
        view=seen,
        executions=executions,
        previous_execution_id=previous,
        event=event,
        broker_time=occurred.time if occurred else None,
        raw=raw,
    )


def _executions(data: Json, seen: View, occurred: Moment | None) -> tuple[Execution, ...]:
    """Return what was executed: the legs' executions of a multi-leg order, else the one of the message."""
    if seen.order_class == OrderClass.MULTILEG and not seen.parent_broker_order_id:
        rows = as_list(data.get("legs") or [], "legs")
        return tuple(_leg_execution(as_object(row, "leg"), seen) for row in rows)
    quantity, price = number(data, "qty"), number(data, "price")
    if quantity is None or price is None or quantity <= 0:
        return ()
    return (
        Execution(
            broker_order_id=seen.broker_order_id,
            quantity=quantity,
            price=price,
            execution_id=_execution_id(data),
            cum_after=seen.filled_quantity,
            occurred_time=occurred.time if occurred else None,
        ),
    )


def _leg_execution(row: Json, parent: View) -> Execution:
    identity = required(row, "order_id")
    quantity = required_number(row, "qty")
    after = next((leg.filled_quantity for leg in parent.legs if leg.broker_order_id == identity), None)
    return Execution(
        broker_order_id=BrokerOrderId(identity),
        quantity=quantity,
        price=required_number(row, "price"),
        execution_id=_execution_id(row),
        cum_after=after if after is not None and after >= quantity else None,
        occurred_time=when(row, "timestamp"),
    )


def _amended(data: Json, seen: View, occurred: Moment | None, kind: ReportKind) -> tuple[Execution, ...]:
    """Return the execution a bust or correction puts in place of the old one. A bust's quantity may be negative."""
    quantity, price = number(data, "qty"), number(data, "price")
    if kind is ReportKind.CORRECT and (quantity is None or price is None or quantity <= 0):
        raise ParseError("a correction without its quantity and price")
    if quantity is None:
        return ()
    return (
        Execution(
            broker_order_id=seen.broker_order_id,
            quantity=quantity.copy_abs(),
            price=price or _ZERO,
            execution_id=_execution_id(data),
            occurred_time=occurred.time if occurred else None,
        ),
    )


def _execution_id(row: Json) -> ExecutionId | None:
    identity = text(row, "execution_id")
    return ExecutionId(identity) if identity else None


# ---------------------------------------------------------------------------------------------------------- activities


class Activity(Value, frozen=True, kw_only=True):
    """One row of the activities list. `id` is also the page token.

    `execution` is set for a FILL, `holding` for what changed a holding in another way and has been done.
    """

    id: str
    type: str
    symbol: str
    execution: Execution | None = None
    quantity: Decimal | None = None
    net_amount: Decimal | None = None
    holding: HoldingActivity | None = None


def activities(body: bytes) -> tuple[Activity, ...]:
    """Read a page of activities in the order given. Raises ParseError."""
    return tuple(activity(as_object(row, "activity")) for row in as_list(decode(body), "activities"))


def activity(row: Json) -> Activity:
    """Read one activity. Raises ParseError."""
    identity = required(row, "id")
    kind = required(row, "activity_type")
    return Activity(
        id=identity,
        type=kind,
        symbol=text(row, "symbol"),
        execution=_activity_execution(row, identity) if kind == "FILL" else None,
        quantity=number(row, "qty"),
        net_amount=number(row, "net_amount"),
        holding=_activity_holding(row, identity, kind),
    )


def _activity_holding(row: Json, identity: str, word: str) -> HoldingActivity | None:
    """What the row changed of a holding. Quantities of such rows are signed: what the account has more of, or less."""
    kind, quantity = words.HOLDING_ACTIVITIES.get(word), number(row, "qty")
    if kind is None or not quantity or not text(row, "symbol") or text(row, "status") not in {"", "executed"}:
        return None
    asset_class = AssetClass.CRYPTO if kind is ActivityKind.FEE_IN_KIND else None
    return HoldingActivity(
        activity_id=identity,
        kind=kind,
        symbol=canonical(text(row, "symbol"), asset_class),
        quantity=quantity,
        price=number(row, "price"),
        group_id=text(row, "group_id"),
        day=text(row, "date"),
    )


def _activity_execution(row: Json, identity: str) -> Execution:
    return Execution(
        broker_order_id=BrokerOrderId(required(row, "order_id")),
        quantity=required_number(row, "qty"),
        price=required_number(row, "price"),
        # Its unique half. That this is the stream's execution id is not proven (where it is, a listed execution has
        # no second name to be kept); what it is about is decided by its order and running total.
        execution_id=ExecutionId(identity.rpartition("::")[2]),
        cum_after=number(row, "cum_qty"),
        occurred_time=when(row, "transaction_time"),
    )


# ------------------------------------------------------------------------------------------------------------- figures


def account(body: bytes) -> BrokerAccount:
    """Read the account. Raises ParseError."""
    row = as_object(decode(body), "account")
    blocks = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
    return BrokerAccount(
        number=required(row, "account_number"),
        status=required(row, "status"),
        currency=text(row, "currency") or "USD",
        equity=required_number(row, "equity"),
        last_equity=number(row, "last_equity"),
        cash=required_number(row, "cash"),
        buying_power=required_number(row, "buying_power"),
        is_trading_blocked=any([flag(row, block) for block in blocks]),
        multiplier=number(row, "multiplier"),
        may_short=said_flag(row, "shorting_enabled"),
        options_level=None if (level := number(row, "options_trading_level")) is None else int(level),
        raw=body,
    )


def positions(body: bytes) -> tuple[BrokerPosition, ...]:
    """Read the positions. Raises ParseError."""
    return tuple(position(as_object(row, "position")) for row in as_list(decode(body), "positions"))


def position(row: Json) -> BrokerPosition:
    """Read one position. Raises ParseError."""
    asset_class = words.ASSET_CLASSES.get(text(row, "asset_class"))
    is_short = text(row, "side") == "short"
    available = number(row, "qty_available")
    return BrokerPosition(
        symbol=canonical(required(row, "symbol"), asset_class),
        quantity=_signed(required_number(row, "qty"), is_short=is_short),
        average_entry_price=number(row, "avg_entry_price"),
        market_value=number(row, "market_value"),
        cost_basis=number(row, "cost_basis"),
        current_price=number(row, "current_price"),
        unrealized_pl=number(row, "unrealized_pl"),
        unrealized_intraday_pl=number(row, "unrealized_intraday_pl"),
        quantity_available=None if available is None else _signed(available, is_short=is_short),
        asset_class=asset_class,
    )


def _signed(quantity: Decimal, *, is_short: bool) -> Decimal:
    """Make a short quantity negative whichever way it was printed. (`-x` would round to the thread's context.)"""
    return quantity.copy_abs().copy_negate() if is_short else quantity


def clock(body: bytes) -> BrokerClock:
    """Read the market's clock. Raises ParseError."""
    row = as_object(decode(body), "clock")
    times = [read_moment(required(row, key), key).time for key in ("timestamp", "next_open", "next_close")]
    return BrokerClock(time=times[0], is_open=flag(row, "is_open"), next_open=times[1], next_close=times[2])
