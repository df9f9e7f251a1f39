"""The SQL text of the hot path, compiled once from the tables and handed to the driver as it is.

A statement of many rows is one step of SQLite: the interpreter lock changes hands once for all of them. Row by row
(`executemany`) it would change hands for each, and under load every hand-over waits for the event loop's turn.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Integer,
    Table,
    Text,
    UnaryExpression,
    bindparam,
    column,
    func,
    insert,
    literal_column,
    select,
    update,
    values,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.sql.operators import custom_op

from orderd.storage.prepare import Cells
from orderd.storage.records import CHANGING, COLUMNS, FIXED
from orderd.storage.schema import (
    DESK_EVENT,
    ORDER_EVENT,
    broker_links,
    desk_records,
    discrepancies,
    fills,
    journal_meta,
    marks,
    order_events,
    orders,
    raw_payloads,
)

ROWS_A_STATEMENT: Final = 64
"""A power of two. More rows gain nothing, and sizes that are powers of two keep the number of texts small."""

_DIALECT = sqlite.dialect(paramstyle="qmark")
_EMPTY = literal_column("''", Text)


def sql(statement: ClauseElement, *names: str, columns: Sequence[str] | None = None) -> str:
    """Compile a statement whose parameters must come in this order. Raises ValueError when they do not."""
    compiled = statement.compile(dialect=_DIALECT, column_keys=list(columns) if columns is not None else None)
    found = list(getattr(compiled, "positiontup", None) or ())
    if found != list(names):
        raise ValueError(f"parameters are {found}, expected {list(names)}")
    return str(compiled)


def not_walked(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Keep SQLite from walking this column's index instead of the one that was chosen."""
    plus: custom_op[Any] = custom_op("+")
    return UnaryExpression(column, operator=plus)


class ManyRows:
    """One statement over a `VALUES` list, for any number of rows, in chunks whose sizes are powers of two."""

    def __init__(self, text: str, width: int) -> None:
        """Take the text for one row of `width` parameters."""
        group = "(" + ", ".join("?" * width) + ")"
        if text.count(group) != 1:
            raise ValueError(f"no single row of {width} parameters in: {text}")
        self._texts: dict[int, str] = {}
        size = 1
        while size <= ROWS_A_STATEMENT:
            self._texts[size] = text.replace(group, ", ".join([group] * size))
            size *= 2

    def run(self, connection: sqlite3.Connection, rows: Sequence[Cells]) -> int:
        """Execute for these rows, in their order; return how many rows of the table that changed."""
        before = connection.total_changes  # a cursor's rowcount knows nothing of statements that begin with WITH
        if len(rows) == 1:
            connection.execute(self._texts[1], rows[0])
            return connection.total_changes - before
        start, left = 0, len(rows)
        while left:
            size = ROWS_A_STATEMENT if left >= ROWS_A_STATEMENT else 1 << (left.bit_length() - 1)
            chunk = rows[start : start + size]
            connection.execute(self._texts[size], [cell for row in chunk for cell in row])
            start += size
            left -= size
        return connection.total_changes - before


def _inserting(table: Table, *, leaving_out: Sequence[str] = ()) -> ManyRows:
    names = [c.name for c in table.columns if c.name not in leaving_out]
    return ManyRows(sql(insert(table), *names, columns=names), len(names))


def _order_update() -> ManyRows:
    """Columns that an event may change. The others say what was asked, and that never changes.

    A row whose version is not `previous` is left alone; the writer counts, and refuses the append.
    """
    names = ("order_id", "previous", "status", "version", "sequence", "body", "state")
    columns: list[Any] = [column(name) for name in names]
    new = values(*columns, name="new").data([tuple(range(len(names)))]).cte("new")
    statement = (
        update(orders)
        .values({name: new.c[name] for name in names[2:]})
        .where(orders.c.order_id == new.c.order_id, orders.c.version == new.c.previous)
    )
    return ManyRows(sql(statement, *(f"param_{n + 1}" for n in range(len(names)))), len(names))


def _fill_upsert() -> ManyRows:
    """A fill keeps its place in the book (`fill_number`, `sequence`) when it is marked or gains an alias."""
    names = [c.name for c in fills.columns if c.name != "fill_number"]
    statement = upsert(fills)
    changed = {name: statement.excluded[name] for name in ("status", "quantity", "price", "body", "state")}
    return ManyRows(
        sql(statement.on_conflict_do_update(index_elements=["fill_id"], set_=changed), *names, columns=names),
        len(names),
    )


def _link_upsert() -> ManyRows:
    """A broker order that is adopted moves to the order that adopted it."""
    names = [c.name for c in broker_links.columns]
    statement = upsert(broker_links)
    return ManyRows(
        sql(
            statement.on_conflict_do_update(
                index_elements=["account_id", "broker_order_id"], set_={"order_id": statement.excluded.order_id}
            ),
            *names,
            columns=names,
        ),
        len(names),
    )


def _discrepancy_upsert() -> ManyRows:
    """A record is opened once and closed once: what is closed never changes."""
    names = [c.name for c in discrepancies.columns]
    statement = upsert(discrepancies)
    changed = {name: statement.excluded[name] for name in ("resolved_us", "resolved_by", "resolution", "operator_name")}
    closing = statement.on_conflict_do_update(
        index_elements=["discrepancy_id"], set_=changed, where=discrepancies.c.resolved_us.is_(None)
    )
    return ManyRows(sql(closing, *names, columns=names), len(names))


def _record_update() -> ManyRows:
    """As for an order. What a record says for good must be the same, or the change is refused, too."""
    names = ("previous", *COLUMNS)
    columns: list[Any] = [column(name) for name in names]
    new = values(*columns, name="new").data([tuple(range(len(names)))]).cte("new")
    statement = (
        update(desk_records)
        .values({name: new.c[name] for name in (*CHANGING, "version", "sequence", "body", "state")})
        .where(
            desk_records.c.record_id == new.c.record_id,
            desk_records.c.version == new.c.previous,
            *(not_walked(desk_records.c[name]) == new.c[name] for name in FIXED if name != "record_id"),
        )
    )
    return ManyRows(sql(statement, *(f"param_{n + 1}" for n in range(len(names)))), len(names))


INSERT_ORDERS = _inserting(orders, leaving_out=["order_number"])
UPDATE_ORDERS = _order_update()
INSERT_EVENTS = _inserting(order_events)
UPSERT_FILLS = _fill_upsert()
UPSERT_LINKS = _link_upsert()
INSERT_RAW = _inserting(raw_payloads, leaving_out=["payload_number"])
UPSERT_DISCREPANCIES = _discrepancy_upsert()
INSERT_RECORDS = _inserting(desk_records, leaving_out=["record_number"])
UPDATE_RECORDS = _record_update()

MOVE_HEAD = sql(
    update(journal_meta).values(head_sequence=bindparam("head"), head_hash=bindparam("hash")), "head", "hash"
)
END_COMMIT = sql(
    update(order_events).values(commit_hash=bindparam("hash")).where(order_events.c.sequence == bindparam("last")),
    "hash",
    "last",
)

FIND_KEY = sql(
    select(orders.c.order_id).where(
        orders.c.account_id == bindparam("account_id"),
        orders.c.client_order_id == bindparam("client_order_id"),
        orders.c.client_order_id != _EMPTY,
    ),
    "account_id",
    "client_order_id",
)
FIND_BROKER_ORDER = sql(
    select(broker_links.c.order_id).where(
        broker_links.c.account_id == bindparam("account_id"),
        broker_links.c.broker_order_id == bindparam("broker_order_id"),
    ),
    "account_id",
    "broker_order_id",
)
LOAD = sql(
    select(orders.c.state, orders.c.sequence, fills.c.state.label("fill"))
    .select_from(orders.outerjoin(fills, fills.c.order_id == orders.c.order_id))
    .where(orders.c.order_id == bindparam("order_id"))
    .order_by(fills.c.fill_number),
    "order_id",
)
ORDER_DATA = sql(select(orders.c.body).where(orders.c.order_id == bindparam("order_id")), "order_id")
FILL_DATA = sql(
    select(fills.c.body).where(fills.c.order_id == bindparam("order_id")).order_by(fills.c.fill_number), "order_id"
)
_RECORD = [desk_records.c[name] for name in COLUMNS]
RECORD_DATA = sql(select(desk_records.c.body).where(desk_records.c.record_id == bindparam("record_id")), "record_id")
LOAD_RECORD = sql(select(*_RECORD).where(desk_records.c.record_id == bindparam("record_id")), "record_id")
FIND_RECORD = sql(
    select(*_RECORD).where(
        desk_records.c.kind == bindparam("kind"),
        desk_records.c.account_id == bindparam("account_id"),
        desk_records.c.client_key == bindparam("client_key"),
        desk_records.c.client_key != _EMPTY,
    ),
    "kind",
    "account_id",
    "client_key",
)
DISCREPANCY_END = sql(
    select(discrepancies.c.resolved_us).where(discrepancies.c.discrepancy_id == bindparam("discrepancy_id")),
    "discrepancy_id",
)
DISCREPANCY_ENDS = sql(select(discrepancies.c.discrepancy_id, discrepancies.c.resolved_us))


def _accounts_of(table: Table) -> str:
    """Every account there is, one seek each: the smallest, then the smallest above it, and so on."""
    account = table.c.account_id
    smallest = select(func.min(account).label("account_id")).cte("account", recursive=True)
    above = select(func.min(account)).where(account > smallest.c.account_id).scalar_subquery()
    each = smallest.union_all(select(above).where(smallest.c.account_id.is_not(None)))
    return sql(select(each.c.account_id).where(each.c.account_id.is_not(None)))


ACCOUNTS = _accounts_of(orders)
RECORD_ACCOUNTS = _accounts_of(desk_records)
META = sql(
    select(
        journal_meta.c.journal_id,
        journal_meta.c.head_sequence,
        journal_meta.c.head_hash,
        journal_meta.c.floor_sequence,
        journal_meta.c.floor_hash,
        journal_meta.c.verified_sequence,
    )
)
SET_VERIFIED = sql(update(journal_meta).values(verified_sequence=bindparam("verified")), "verified")
COMMIT_HASH = sql(
    select(order_events.c.commit_hash).where(order_events.c.sequence == bindparam("sequence")), "sequence"
)
CHAIN_PAGE = sql(
    select(order_events.c.sequence, order_events.c.body, order_events.c.commit_hash)
    .where(order_events.c.sequence > bindparam("after"), order_events.c.sequence <= bindparam("head"))
    .order_by(order_events.c.sequence)
    .limit(bindparam("limit", type_=Integer))
    .offset(literal_column("0", Integer)),  # without one SQLAlchemy would add a nameless parameter for it
    "after",
    "head",
    "limit",
)

IS_MARKED = sql(select(marks.c.value).where(marks.c.name == bindparam("name")), "name")
_mark = upsert(marks)
SET_MARK = sql(
    _mark.on_conflict_do_update(index_elements=["name"], set_={"value": _mark.excluded.value}),
    "name",
    "value",
    columns=["name", "value"],
)

# ------------------------------------------------------------------------------------- everything, to check it

ORDER_ROWS = sql(
    select(
        orders.c.order_number,
        *(column for column in orders.columns if column is not orders.c.order_number),
    )
    .where(orders.c.order_number > bindparam("after"))
    .order_by(orders.c.order_number)
    .limit(bindparam("limit", type_=Integer))
    .offset(literal_column("0", Integer)),
    "after",
    "limit",
)
EVENT_ROWS = sql(
    select(order_events.c.sequence, order_events.c.order_id, order_events.c.version, order_events.c.body)
    .where(order_events.c.order_id == bindparam("order_id"), order_events.c.kind == literal_column(str(ORDER_EVENT)))
    .order_by(order_events.c.version),
    "order_id",
)
FILL_ROWS = sql(
    select(*(column for column in fills.columns if column is not fills.c.fill_number))
    .where(fills.c.order_id == bindparam("order_id"))
    .order_by(fills.c.fill_number),
    "order_id",
)
RECORD_ROWS = sql(
    select(desk_records.c.record_number, *_RECORD)
    .where(desk_records.c.record_number > bindparam("after"))
    .order_by(desk_records.c.record_number)
    .limit(bindparam("limit", type_=Integer))
    .offset(literal_column("0", Integer)),
    "after",
    "limit",
)
RECORD_EVENT_ROWS = sql(
    select(order_events.c.sequence, order_events.c.version, order_events.c.body)
    .where(order_events.c.order_id == bindparam("record_id"), order_events.c.kind == literal_column(str(DESK_EVENT)))
    .order_by(order_events.c.version),
    "record_id",
)
STRAYS = sql(
    select(order_events.c.sequence, order_events.c.order_id)
    .where(
        ~select(orders.c.order_id).where(orders.c.order_id == order_events.c.order_id).exists(),
        ~select(desk_records.c.record_id).where(desk_records.c.record_id == order_events.c.order_id).exists(),
        ~select(discrepancies.c.discrepancy_id)
        .where(discrepancies.c.discrepancy_id == order_events.c.order_id)
        .exists(),
    )
    .limit(literal_column("100", Integer))
    .offset(literal_column("0", Integer))
)
COUNT_DISCREPANCIES = sql(select(func.count()).select_from(discrepancies).where(discrepancies.c.resolved_us.is_(None)))
UNKNOWN_ORDERS = sql(
    select(func.count(), func.min(orders.c.created_us)).where(orders.c.status == literal_column("'UNKNOWN'", Text))
)
RECONCILED = sql(
    select(marks.c.name, marks.c.value)
    .where(marks.c.name.like(literal_column("'reconciled:%'", Text)))
    .order_by(marks.c.name)
)
