"""The lists, as statements. Pure: what is asked becomes SQL here, reads.py runs it.

How a first page stays as fast over a million orders as over a thousand: one filter drives (the one that is likely to
match least), its index is in list order, and each of its values is a branch that stops after one page. The branches are
merged, and only the rows of the page itself are fetched. The other filters are checked on the way.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Executable,
    UnaryExpression,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.sql.operators import custom_op

from orderd.core.order import OPEN, OrderState
from orderd.ports import FillFilter, OrderFilter
from orderd.storage.prepare import microseconds
from orderd.storage.schema import discrepancies, fills, journal_meta, marks, order_events, orders, raw_payloads

MAX_BRANCHES = 64
"""More values than this of one filter do not drive: they are checked on the way instead."""

Condition = ColumnElement[bool]
Key = tuple[int | str, ...]

OPEN_STATES = tuple(state.value for state in OrderState if state in OPEN)
PLENTY = frozenset({OrderState.FILLED.value, OrderState.CANCELED.value})
"""States that most orders end in."""
NOBODY = ""
"""No account is called that: what is asked for has no orders yet."""
NO_STATE = "-"
"""No order is in it: what is asked for contradicts itself."""
POINTS = frozenset({"trace_id", "decision_id", "trade_id"})
"""Always walked when asked for: a handful of orders each."""
PARTITIONS = frozenset({"symbol", "underlying", "strategy"})

HEAD = select(journal_meta.c.head_sequence)


def orders_page(where: OrderFilter, accounts: Sequence[str], after_key: Key | None, limit: int) -> Executable:
    """Newest first by (created time, order id): created_us, order_id, body; at most `limit` rows.

    `accounts` are all there are: a list of everything is walked account by account.
    """
    driving, branches_where = _branches(where, accounts)
    checked = _order_ranges(where)
    checked += [_looked_at(column, wanted) for column, wanted in _equal_filters(where) if column.name not in driving]
    if after_key is not None:
        checked.append(tuple_(orders.c.created_us, orders.c.order_id) < tuple_(*after_key))
    newest = (orders.c.created_us.desc(), orders.c.order_id.desc())
    position = (orders.c.order_number, orders.c.created_us, orders.c.order_id)
    branches = [select(*position).where(*branch, *checked).order_by(*newest).limit(limit) for branch in branches_where]
    page = _merged(branches, ("created_us", "order_id"), limit, newest_first=True)
    return (
        select(orders.c.created_us, orders.c.order_id, orders.c.body)
        .join_from(page, orders, orders.c.order_number == page.c.order_number)
        .order_by(page.c.created_us.desc(), page.c.order_id.desc())
    )


def fills_page(where: FillFilter, after_key: Key | None, limit: int) -> Executable:
    """Oldest first by booking: fill_number, body; at most `limit` rows."""
    checked: list[Condition] = []
    if after_key is not None:
        checked.append(fills.c.fill_number > after_key[0])
    if where.after is not None:
        checked.append(fills.c.recorded_us > microseconds(where.after))
    if where.before is not None:
        checked.append(fills.c.recorded_us < microseconds(where.before))
    filters: list[tuple[Column[Any], Sequence[str]]] = [
        (fills.c.order_id, (where.order_id,) if where.order_id else ()),
        (fills.c.trade_id, where.trade_ids),
        (fills.c.symbol, where.symbols),
        (fills.c.account_id, where.account_ids),
    ]
    given = [(column, values) for column, values in filters if values]
    # What was booked since a moment is little; what an account ever booked is not. Later pages begin at their key.
    is_by_time = where.after is not None and after_key is None
    narrow = (fills.c.order_id, fills.c.trade_id) if is_by_time else tuple(column for column, _ in given)
    driving = next((pair for pair in given if pair[0] in narrow and len(pair[1]) <= MAX_BRANCHES), None)
    checked += [_looked_at(column, values) for column, values in given if driving is None or column is not driving[0]]
    if driving is None:
        place: ColumnElement[Any] = fills.c.fill_number
        if is_by_time:
            place = _not_walked(place)
        return select(fills.c.fill_number, fills.c.body).where(*checked).order_by(place).limit(limit)
    column, values = driving
    if column is fills.c.trade_id:
        checked.append(column != literal_column("''"))
    branches = [
        select(fills.c.fill_number).where(column == value, *checked).order_by(fills.c.fill_number).limit(limit)
        for value in dict.fromkeys(values)
    ]
    page = _merged(branches, ("fill_number",), limit, newest_first=False)
    return (
        select(fills.c.fill_number, fills.c.body)
        .join_from(page, fills, fills.c.fill_number == page.c.fill_number)
        .order_by(page.c.fill_number)
    )


def order_events_page(order_id: str, after_version: int, limit: int) -> Executable:
    """The order's story, oldest first: version, body."""
    return (
        select(order_events.c.version, order_events.c.body)
        .where(order_events.c.order_id == order_id, order_events.c.version > after_version)
        .order_by(order_events.c.version)
        .limit(limit)
    )


def events_after(sequence: int, limit: int) -> Executable:
    """Events in sequence order, with what they are filtered by."""
    return (
        select(
            order_events.c.sequence,
            orders.c.account_id,
            orders.c.order_id,
            orders.c.symbol,
            orders.c.strategy,
            orders.c.trace_id,
            orders.c.decision_id,
            orders.c.trade_id,
            order_events.c.body,
        )
        .join_from(order_events, orders, orders.c.order_id == order_events.c.order_id)
        .where(order_events.c.sequence > sequence)
        .order_by(order_events.c.sequence)
        .limit(limit)
    )


def open_orders() -> Executable:
    """Every open order: order_id, state, sequence; in the order they were written."""
    return (
        select(orders.c.order_id, orders.c.state, orders.c.sequence)
        .where(orders.c.status.in_(OPEN_STATES))
        .order_by(orders.c.order_number)
    )


def fills_of_open_orders() -> Executable:
    """Fills of the open orders: order_id, state; in booking order."""
    return (
        select(fills.c.order_id, fills.c.state)
        .join_from(orders, fills, fills.c.order_id == orders.c.order_id)
        .where(orders.c.status.in_(OPEN_STATES))
        .order_by(fills.c.fill_number)
    )


def latest_raw(account_id: str, broker_order_ids: Sequence[str]) -> Executable:
    """The newest payload about any of these broker orders."""
    latest = select(func.max(raw_payloads.c.payload_number)).where(
        raw_payloads.c.account_id == account_id, raw_payloads.c.broker_order_id.in_(broker_order_ids)
    )
    return select(raw_payloads.c.body).where(raw_payloads.c.payload_number == latest.scalar_subquery())


def open_discrepancies(account_id: str) -> Executable:
    """Records not resolved, oldest first."""
    return (
        select(discrepancies)
        .where(discrepancies.c.account_id == account_id, discrepancies.c.resolved_us.is_(None))
        .order_by(discrepancies.c.opened_us, discrepancies.c.discrepancy_id)
    )


def mark(name: str) -> Executable:
    """One named mark."""
    return select(marks.c.value).where(marks.c.name == name)


def _equal_filters(where: OrderFilter) -> list[tuple[Column[Any], Sequence[str]]]:
    """Return the filters that name values, likeliest to match least first."""
    filters: list[tuple[Column[Any], Sequence[str]]] = [
        (orders.c.trace_id, where.trace_ids),
        (orders.c.decision_id, where.decision_ids),
        (orders.c.trade_id, where.trade_ids),
        (orders.c.symbol, where.symbols),
        (orders.c.underlying, where.underlyings),
        (orders.c.strategy, where.strategies),
        (orders.c.status, _states(where)),
        (orders.c.account_id, where.account_ids),
        (orders.c.asset_class, [asset_class.value for asset_class in where.asset_classes]),
        (orders.c.side, [side.value for side in where.sides]),
        (orders.c.role, [role.value for role in where.roles]),
        (orders.c.strategy_type, where.strategy_types),
    ]
    return [(column, values) for column, values in filters if values]


def _states(where: OrderFilter) -> Sequence[str]:
    """Return the states asked for; with open_only those of them that are open, which may be none at all."""
    states = [state.value for state in where.states]
    if not where.open_only:
        return states
    return [state for state in OPEN_STATES if not states or state in states] or [NO_STATE]


def _branches(where: OrderFilter, accounts: Sequence[str]) -> tuple[frozenset[str], list[tuple[Condition, ...]]]:
    """Choose the index that is walked: the columns it settles, and the condition of each branch."""
    states = list(dict.fromkeys(_states(where)))
    asked = dict.fromkeys(where.account_ids or accounts)
    wanted = [account for account in accounts if account in asked] or [NOBODY]
    by_state: list[tuple[Condition, ...]] = [
        (orders.c.status == state, orders.c.account_id == account) for state in states for account in wanted
    ]  # fmt: skip
    # Open orders are few for ever and refusals mostly are; a symbol's orders are fewer than all that were filled.
    is_few = bool(states) and not PLENTY & set(states) and len(by_state) <= MAX_BRANCHES
    for column, values in _equal_filters(where):
        names = list(dict.fromkeys(values))
        is_driving = column.name in POINTS or (column.name in PARTITIONS and not is_few)
        if is_driving and len(names) <= MAX_BRANCHES:
            # The index holds only rows that have one: SQLite must be told that an empty one is not asked for.
            is_there = () if column.name == "symbol" else (column != literal_column("''"),)
            return frozenset({column.name}), [(column == name, *is_there) for name in names]
    if by_state and len(by_state) <= MAX_BRANCHES:
        return frozenset({"status", "account_id"}), by_state
    return frozenset({"account_id"}), [(orders.c.account_id == account,) for account in wanted]


def _order_ranges(where: OrderFilter) -> list[Condition]:
    checked: list[Condition] = []
    if where.is_external is not None:
        checked.append(orders.c.is_external == (1 if where.is_external else 0))
    if where.expires_on_or_after:
        checked.append(orders.c.expiry_date >= where.expires_on_or_after)
    if where.expires_on_or_before:
        # An order that expires with no option has no date, and no date is not an early one.
        checked += [orders.c.expiry_date <= where.expires_on_or_before, orders.c.expiry_date != literal_column("''")]
    if where.created_after is not None:
        checked.append(orders.c.created_us > microseconds(where.created_after))
    if where.created_before is not None:
        checked.append(orders.c.created_us < microseconds(where.created_before))
    return checked


def _looked_at(column: Column[Any], values: Sequence[str]) -> Condition:
    """Check a column on the way. The plus keeps SQLite from walking its index instead of the one that was chosen."""
    return _not_walked(column).in_(values)


def _not_walked(column: ColumnElement[Any]) -> ColumnElement[Any]:
    plus: custom_op[Any] = custom_op("+")
    return UnaryExpression(column, operator=plus)


def _merged(branches: Sequence[Any], key: Sequence[str], limit: int, *, newest_first: bool) -> Any:  # noqa: ANN401
    if len(branches) == 1:
        return branches[0].subquery("page")
    rows = union_all(*(select(branch.subquery()) for branch in branches)).subquery("branches")
    order = [rows.c[name].desc() if newest_first else rows.c[name].asc() for name in key]
    return select(rows).order_by(*order).limit(limit).subquery("page")
