"""The lists, as SQL. Pure: what is asked becomes text and values here, reads.py runs them.

How a first page stays as fast over a million orders as over a thousand: one filter drives (the one that is likely to
match least), its index is in list order, and each of its values is a branch that stops after one page. The branches are
merged, and only the rows of the page itself are fetched. The other filters are checked on the way.

How a list stays cheap: the text depends only on which filters were given, not on their values, so it is built and
compiled once for each such shape; and a list is one statement, so it is one snapshot and one hop to a reader's thread.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects import sqlite

from orderd.core.order import OPEN, OrderState
from orderd.ports import FillFilter, OrderFilter
from orderd.storage.prepare import Cell, microseconds
from orderd.storage.schema import fills, journal_meta, marks, order_events, orders, raw_payloads
from orderd.storage.statements import not_walked

MAX_BRANCHES: Final = 64
"""More values than this of one filter do not drive: they are checked on the way instead."""

Condition = ColumnElement[bool]
Key = tuple[int | str, ...]
Values = dict[str, Cell]

OPEN_STATES: Final = tuple(state.value for state in OrderState if state in OPEN)
PLENTY: Final = frozenset({OrderState.FILLED.value, OrderState.CANCELED.value})
"""States that most orders end in."""
NOBODY: Final = ""
"""No account is called that: what is asked for has no orders yet."""
NO_STATE: Final = "-"
"""No order is in it: what is asked for contradicts itself."""
POINTS: Final = frozenset({"trace_id", "decision_id", "trade_id"})
"""Always walked when asked for: a handful of orders each."""
PARTITIONS: Final = frozenset({"symbol", "underlying", "strategy"})

_DIALECT = sqlite.dialect(paramstyle="qmark")
_EMPTY = literal_column("''", Text)
HEAD = select(journal_meta.c.head_sequence).scalar_subquery()


class Query(msgspec.Struct, frozen=True):
    """A statement as text, and the names of its parameters in the order in which they are given."""

    text: str
    names: tuple[str, ...]

    def cells(self, values: Mapping[str, Cell]) -> tuple[Cell, ...]:
        """Put the values in their order. Raises KeyError for one that is missing."""
        return tuple([values[name] for name in self.names])


class Shape(msgspec.Struct, frozen=True):
    """All of a question that its text depends on: which columns drive and how often, and what else is looked at."""

    driving: tuple[str, ...] = ()
    branches: int = 1
    looked_at: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()


def orders_page(where: OrderFilter, accounts: Sequence[str], after_key: Key | None, limit: int) -> tuple[Query, Values]:
    """Newest first by (created time, order id): head, created_us, order_id, body; at most `limit` rows.

    `accounts` are all there are: a list of everything is walked account by account.
    """
    equal = _equal_filters(where)
    driving, branches = _branches(equal, where, accounts)
    ranges = _order_ranges(where)
    if after_key is not None:
        ranges["after_key"], ranges["after_id"] = after_key
    looked_at = {name: json.dumps(values) for name, values in equal.items() if name not in driving}
    shape = Shape(driving, len(branches), tuple(looked_at), tuple(ranges))
    return _orders_text(shape), {"limit": limit, **numbered(driving, branches), **looked_at, **ranges}


OF_ORDERS: Final = ("decision_id", "trace_id")
"""What a fill is asked for by, and only its order says."""


def fills_page(where: FillFilter, after_key: Key | None, limit: int) -> tuple[Query, Values]:
    """Oldest first by booking: head, fill_number, body; at most `limit` rows."""
    asked = {
        "order_id": (where.order_id,) if where.order_id else (),
        "trade_id": where.trade_ids,
        "symbol": where.symbols,
        "account_id": where.account_ids,
        "decision_id": where.decision_ids,
        "trace_id": where.trace_ids,
    }
    given = {name: list(dict.fromkeys(values)) for name, values in asked.items() if values}
    ranges: Values = {}
    if after_key is not None:
        ranges["after_number"] = after_key[0]
    if where.after is not None:
        ranges["recorded_after"] = microseconds(where.after)
    if where.before is not None:
        ranges["recorded_before"] = microseconds(where.before)
    # What was booked since a moment is little; what an account ever booked is not. Later pages begin at their key.
    is_by_time = where.after is not None and after_key is None
    is_by_order = any(name in given for name in OF_ORDERS)
    narrow = ("order_id", "trade_id") if is_by_time or is_by_order else tuple(given)
    driver = next((name for name in narrow if 0 < len(given.get(name, ())) <= MAX_BRANCHES), "")
    driving = (driver,) if driver else ()
    branches = [(value,) for value in given[driver]] if driver else [()]
    looked_at = {name: json.dumps(values) for name, values in given.items() if name != driver}
    shape = Shape(driving, len(branches), tuple(looked_at), (*ranges, "by_time") if is_by_time else tuple(ranges))
    return _fills_text(shape), {"limit": limit, **numbered(driving, branches), **looked_at, **ranges}


def _equal_filters(where: OrderFilter) -> dict[str, list[str]]:
    """Return the filters that name values, likeliest to match least first."""
    asked: dict[str, Sequence[str]] = {
        "trace_id": where.trace_ids,
        "decision_id": where.decision_ids,
        "trade_id": where.trade_ids,
        "symbol": where.symbols,
        "underlying": where.underlyings,
        "strategy": where.strategies,
        "status": _states(where),
        "account_id": where.account_ids,
        "asset_class": [asset_class.value for asset_class in where.asset_classes],
        "side": [side.value for side in where.sides],
        "role": [role.value for role in where.roles],
        "strategy_type": where.strategy_types,
    }
    return {name: list(dict.fromkeys(values)) for name, values in asked.items() if values}


def _states(where: OrderFilter) -> Sequence[str]:
    """Return the states asked for; with open_only those of them that are open, which may be none at all."""
    states = [state.value for state in where.states]
    if not where.open_only:
        return states
    return [state for state in OPEN_STATES if not states or state in states] or [NO_STATE]


def _branches(
    equal: Mapping[str, list[str]], where: OrderFilter, accounts: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Choose the index that is walked: the columns it settles, and their values for each branch."""
    asked = dict.fromkeys(where.account_ids or accounts)
    wanted = [account for account in accounts if account in asked] or [NOBODY]
    states = equal.get("status", [])
    by_state: list[tuple[str, ...]] = [(state, account) for state in states for account in wanted]
    # Open orders are few for ever and refusals mostly are; a symbol's orders are fewer than all that were filled.
    is_few = bool(states) and not PLENTY & set(states) and len(by_state) <= MAX_BRANCHES
    for name, values in equal.items():
        is_driving = name in POINTS or (name in PARTITIONS and not is_few)
        if is_driving and len(values) <= MAX_BRANCHES:
            return (name,), [(value,) for value in values]
    if by_state and len(by_state) <= MAX_BRANCHES:
        return ("status", "account_id"), by_state
    return ("account_id",), [(account,) for account in wanted]


def _order_ranges(where: OrderFilter) -> Values:
    ranges: Values = {}
    if where.is_external is not None:
        ranges["is_external"] = 1 if where.is_external else 0
    if where.expires_on_or_after:
        ranges["expires_from"] = where.expires_on_or_after
    if where.expires_on_or_before:
        ranges["expires_to"] = where.expires_on_or_before
    if where.created_after is not None:
        ranges["created_after"] = microseconds(where.created_after)
    if where.created_before is not None:
        ranges["created_before"] = microseconds(where.created_before)
    return ranges


def numbered(driving: tuple[str, ...], branches: Sequence[tuple[str, ...]]) -> Values:
    return {
        f"{name}_{number}": value
        for number, branch in enumerate(branches)
        for name, value in zip(driving, branch, strict=True)
    }


# ------------------------------------------------------------------------------------------------------------ the texts


def compiled(statement: Any) -> Query:  # noqa: ANN401 - any statement: SQLAlchemy's types for them differ by their columns
    """Compile a statement whose parameters have names."""
    text = statement.compile(dialect=_DIALECT)
    return Query(str(text), tuple(text.positiontup or ()))


def parameter(name: str, kind: type[Text] | type[Integer]) -> Any:  # noqa: ANN401 - a parameter is an expression of its type
    return bindparam(name, type_=kind())


_ORDER_RANGES: Final[dict[str, Condition]] = {
    "is_external": orders.c.is_external == parameter("is_external", Integer),
    "expires_from": orders.c.expiry_date >= parameter("expires_from", Text),
    # What never expires has no date, and no date is not an early one.
    "expires_to": (orders.c.expiry_date <= parameter("expires_to", Text)) & (orders.c.expiry_date != _EMPTY),
    "created_after": orders.c.created_us > parameter("created_after", Integer),
    "created_before": orders.c.created_us < parameter("created_before", Integer),
    "after_key": tuple_(orders.c.created_us, orders.c.order_id)
    < tuple_(parameter("after_key", Integer), parameter("after_id", Text)),
}
_FILL_RANGES: Final[dict[str, Condition]] = {
    "after_number": fills.c.fill_number > parameter("after_number", Integer),
    "recorded_after": fills.c.recorded_us > parameter("recorded_after", Integer),
    "recorded_before": fills.c.recorded_us < parameter("recorded_before", Integer),
}


@lru_cache(maxsize=1024)
def _orders_text(shape: Shape) -> Query:
    checked = [_ORDER_RANGES[name] for name in shape.ranges if name in _ORDER_RANGES]
    checked += [is_among(orders.c[name]) for name in shape.looked_at]
    # A partial index holds only rows that have one: SQLite must be told that an empty one is not asked for.
    checked += [orders.c[name] != _EMPTY for name in shape.driving if name in {*POINTS, *PARTITIONS} - {"symbol"}]
    position = select(orders.c.order_number, orders.c.created_us, orders.c.order_id).where(*checked)
    newest = position.order_by(orders.c.created_us.desc(), orders.c.order_id.desc())
    branches = [
        first_rows(newest.where(*branch_of(orders.c, shape.driving, number))) for number in range(shape.branches)
    ]
    page = merged(branches, ("created_us", "order_id"), newest_first=True)
    return compiled(
        select(HEAD, orders.c.created_us, orders.c.order_id, orders.c.body)
        .join_from(page, orders, orders.c.order_number == page.c.order_number)
        .order_by(page.c.created_us.desc(), page.c.order_id.desc())
    )


@lru_cache(maxsize=256)
def _fills_text(shape: Shape) -> Query:
    checked = [_FILL_RANGES[name] for name in shape.ranges if name in _FILL_RANGES]
    checked += [_of_orders(name) if name in OF_ORDERS else is_among(fills.c[name]) for name in shape.looked_at]
    if "trade_id" in shape.driving:
        checked.append(fills.c.trade_id != _EMPTY)
    place: ColumnElement[Any] = fills.c.fill_number
    if not shape.driving:
        is_walked = "by_time" not in shape.ranges and not any(name in OF_ORDERS for name in shape.looked_at)
        place = place if is_walked else not_walked(place)
        rows = select(HEAD, fills.c.fill_number, fills.c.body).where(*checked).order_by(place)
        return compiled(first_rows(rows))
    branches = [
        first_rows(
            select(fills.c.fill_number).where(*branch_of(fills.c, shape.driving, number), *checked).order_by(place)
        )
        for number in range(shape.branches)
    ]
    page = merged(branches, ("fill_number",), newest_first=False)
    return compiled(
        select(HEAD, fills.c.fill_number, fills.c.body)
        .join_from(page, fills, fills.c.fill_number == page.c.fill_number)
        .order_by(page.c.fill_number)
    )


def _of_orders(name: str) -> Condition:
    """Fills of the orders that carry one of these: few orders, so they are found first."""
    values = func.json_each(parameter(name, Text)).table_valued("value")
    carried = select(orders.c.order_id).where(orders.c[name] != _EMPTY, orders.c[name].in_(select(values.c.value)))
    return fills.c.order_id.in_(carried)


def branch_of(columns: Any, driving: tuple[str, ...], number: int) -> list[Condition]:  # noqa: ANN401
    return [columns[name] == parameter(f"{name}_{number}", Text) for name in driving]


def is_among(column: Column[Any]) -> Condition:
    """Check a column on the way, whatever the number of values: they are given as one JSON list."""
    values = func.json_each(parameter(column.name, Text)).table_valued("value")
    return not_walked(column).in_(select(values.c.value))


def merged(branches: Sequence[Any], key: Sequence[str], *, newest_first: bool) -> Any:  # noqa: ANN401
    if len(branches) == 1:
        return branches[0].subquery("page")
    rows = union_all(*(select(branch.subquery()) for branch in branches)).subquery("branches")
    order = [rows.c[name].desc() if newest_first else rows.c[name].asc() for name in key]
    return first_rows(select(rows).order_by(*order)).subquery("page")


def first_rows(statement: Any) -> Any:  # noqa: ANN401 - any select gives the same select
    """Stop after `limit` rows. (Without an offset SQLAlchemy would add a nameless parameter for it.)"""
    return statement.limit(parameter("limit", Integer)).offset(literal_column("0", Integer))


STORY: Final = compiled(
    first_rows(
        select(HEAD, order_events.c.version, order_events.c.body)
        .where(
            order_events.c.order_id == parameter("order_id", Text),
            order_events.c.version > parameter("after", Integer),
            order_events.c.kind == parameter("kind", Integer),
        )
        .order_by(order_events.c.version)
    )
)
"""The story of an order or a record, oldest first: head, version, body."""

EVENTS_AFTER: Final = compiled(
    first_rows(
        select(
            order_events.c.sequence,
            order_events.c.kind,
            order_events.c.order_id,
            orders.c.account_id,
            orders.c.symbol,
            orders.c.strategy,
            orders.c.trace_id,
            orders.c.decision_id,
            orders.c.trade_id,
            order_events.c.body,
        )
        .select_from(order_events.outerjoin(orders, orders.c.order_id == order_events.c.order_id))
        .where(order_events.c.sequence > parameter("after", Integer))
        .order_by(order_events.c.sequence)
    )
)
"""Events in sequence order, those of orders with what they are filtered by."""

OPEN_NUMBERS: Final = compiled(
    select(orders.c.order_number)
    .where(orders.c.status.in_([literal_column(f"'{state}'", Text) for state in OPEN_STATES]))
    .order_by(orders.c.order_number)
)
"""Every open order in the order they were written."""

ORDERS_WITH_FILLS: Final = compiled(
    select(orders.c.order_id, orders.c.state, orders.c.sequence, fills.c.state.label("fill"))
    .select_from(orders.outerjoin(fills, fills.c.order_id == orders.c.order_id))
    .where(
        orders.c.order_number.in_(select(func.json_each(parameter("numbers", Text)).table_valued("value").c.value)),
    )
    .order_by(orders.c.order_number, fills.c.fill_number)
)
"""These orders in the order they were written, a row for each of its fills in booking order, at least one."""

LATEST_RAW: Final = compiled(
    select(raw_payloads.c.body).where(
        raw_payloads.c.payload_number
        == select(func.max(raw_payloads.c.payload_number))
        .where(
            raw_payloads.c.account_id == parameter("account_id", Text),
            raw_payloads.c.broker_order_id.in_(
                select(func.json_each(parameter("broker_order_ids", Text)).table_valued("value").c.value)
            ),
        )
        .scalar_subquery()
    )
)
"""The newest payload about any of these broker orders."""

MARK: Final = compiled(select(marks.c.value).where(marks.c.name == parameter("name", Text)))
