"""The tables, as SQLAlchemy Core knows them. The SQL text of the hot path is compiled from these once (statements.py).

Rule 1: decimals are TEXT, times are INTEGER microseconds since 1970 UTC, messages are BLOB, nothing is a float.
Rule 2: a filter column is a copy for the index; the truth is `body` (the message as it is sent) and `state` (the core
value as it is folded). `body` and `state` are written together or not at all.
Rule 3: an index must pay for itself in every append. An order that says only what it must touches five; each optional
id (trace, decision, trade, strategy, underlying) touches one more partial index and only when it is given.
"""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

REVISION = "0004"
"""The newest migration; a test holds it to the scripts in migrations/versions."""

metadata = MetaData()

journal_meta = Table(
    "journal_meta",
    metadata,
    Column("meta_id", Integer, primary_key=True),
    Column("journal_id", Text, nullable=False),
    Column("head_sequence", Integer, nullable=False),
    Column("created_us", Integer, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("floor_sequence", Integer, nullable=False),
    Column("floor_hash", LargeBinary, nullable=False),
    Column("verified_sequence", Integer, nullable=False),
)
"""One row, the head. `head_hash`: of the last commit (chain.py); the chain begins behind the floor; a start verified up
to `verified_sequence`."""

orders = Table(
    "orders",
    metadata,
    Column("order_number", Integer, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("created_us", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("underlying", Text, nullable=False),
    Column("expiry_date", Text, nullable=False),
    Column("asset_class", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("strategy_type", Text, nullable=False),
    Column("is_external", Integer, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("decision_id", Text, nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
"""The order as of its last event. `body`: oms.v1.Order with its sequence; `state`: core Order without fills."""

# Two orders of one account never share a key; what was made outside orderd has none (lifecycle.md).
Index(
    "orders_by_key",
    orders.c.account_id,
    orders.c.client_order_id,
    unique=True,
    sqlite_where=orders.c.client_order_id != text("''"),
)
Index("orders_by_id", orders.c.order_id, unique=True)

NEWEST_FIRST = (orders.c.created_us, orders.c.order_id)
Index("orders_by_account", orders.c.account_id, *NEWEST_FIRST)
Index("orders_by_status", orders.c.status, orders.c.account_id, *NEWEST_FIRST)
Index("orders_by_symbol", orders.c.symbol, *NEWEST_FIRST)
for _name in ("strategy", "underlying", "trace_id", "decision_id", "trade_id"):
    _column = orders.c[_name]
    Index(f"orders_by_{_name.removesuffix('_id')}", _column, *NEWEST_FIRST, sqlite_where=_column != text("''"))

order_events = Table(
    "order_events",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("commit_hash", LargeBinary),
    Column("kind", Integer, nullable=False, server_default=text("0")),
)
"""`body`: oms.v1.OrderEvent, written once, sent verbatim. `commit_hash`: on each commit's last event (chain.py).
`kind`: ORDER_EVENT, or DESK_EVENT: then `order_id` and `version` are a record's or a discrepancy's, and `body` is an
oms.v1.DeskEvent."""
ORDER_EVENT = 0
DESK_EVENT = 1

# Also the net under the engine's promise that a decision follows the last committed event.
Index("order_events_by_order", order_events.c.order_id, order_events.c.version, unique=True)

fills = Table(
    "fills",
    metadata,
    Column("fill_number", Integer, primary_key=True),
    Column("fill_id", Text, nullable=False),
    Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
    Column("account_id", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("quantity", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("recorded_us", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
"""`fill_number` is the booking order; `sequence` is the event that booked it. `body`: oms.v1.Fill."""

Index("fills_by_id", fills.c.fill_id, unique=True)
Index("fills_by_order", fills.c.order_id, fills.c.fill_number)
Index("fills_by_account", fills.c.account_id, fills.c.fill_number)
Index("fills_by_symbol", fills.c.symbol, fills.c.fill_number)
Index("fills_by_trade", fills.c.trade_id, fills.c.fill_number, sqlite_where=fills.c.trade_id != text("''"))
Index("fills_by_time", fills.c.recorded_us, fills.c.fill_number)

broker_links = Table(
    "broker_links",
    metadata,
    Column("account_id", Text, nullable=False),
    Column("broker_order_id", Text, nullable=False),
    Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
    PrimaryKeyConstraint("account_id", "broker_order_id"),
    sqlite_with_rowid=False,
)

raw_payloads = Table(
    "raw_payloads",
    metadata,
    Column("payload_number", Integer, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("broker_order_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("is_quarantined", Integer, nullable=False),
    Column("recorded_us", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Index(
    "raw_payloads_by_broker_order",
    raw_payloads.c.account_id,
    raw_payloads.c.broker_order_id,
    raw_payloads.c.payload_number,
)
Index(
    "raw_payloads_quarantined",
    raw_payloads.c.account_id,
    raw_payloads.c.payload_number,
    sqlite_where=raw_payloads.c.is_quarantined == text("1"),
)

discrepancies = Table(
    "discrepancies",
    metadata,
    Column("discrepancy_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("broker_order_id", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("observed", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("opened_us", Integer, nullable=False),
    Column("after_sequence", Integer, nullable=False),
    Column("resolved_us", Integer),
    Column("resolved_by", Text, nullable=False),
    Column("resolution", Text, nullable=False),
    Column("operator_name", Text, nullable=False),
)
"""`subject` is the order id, or the account id for what is about all of it: one open record of a kind about each."""
Index("discrepancies_by_time", discrepancies.c.opened_us, discrepancies.c.discrepancy_id)
Index(
    "discrepancies_open",
    discrepancies.c.account_id,
    discrepancies.c.kind,
    discrepancies.c.subject,
    unique=True,
    sqlite_where=discrepancies.c.resolved_us.is_(None),
)

desk_records = Table(
    "desk_records",
    metadata,
    Column("record_number", Integer, primary_key=True),
    Column("record_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("client_key", Text, nullable=False),
    Column("created_us", Integer, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("underlying", Text, nullable=False),
    Column("expiry_date", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("decision_id", Text, nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("is_open", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
"""What the desk remembers, as of each record's last event. `body`: its message with its sequence; `state`: the desk's
own value. Every record's events stand in order_events, and stay for ever."""

Index("desk_records_by_id", desk_records.c.record_id, unique=True)
Index(
    "desk_records_by_key",
    desk_records.c.kind,
    desk_records.c.account_id,
    desk_records.c.client_key,
    unique=True,
    sqlite_where=desk_records.c.client_key != text("''"),
)
NEWEST_RECORD_FIRST = (desk_records.c.created_us, desk_records.c.record_id)
Index("desk_records_by_account", desk_records.c.account_id, desk_records.c.kind, *NEWEST_RECORD_FIRST)
Index(
    "desk_records_by_status",
    desk_records.c.kind,
    desk_records.c.status,
    desk_records.c.account_id,
    *NEWEST_RECORD_FIRST,
)
Index(
    "desk_records_open",
    desk_records.c.kind,
    *NEWEST_RECORD_FIRST,
    sqlite_where=desk_records.c.is_open == text("1"),
)
for _name in ("symbol", "strategy", "trace_id", "decision_id", "trade_id"):
    _column = desk_records.c[_name]
    Index(
        f"desk_records_by_{_name.removesuffix('_id')}",
        _column,
        desk_records.c.kind,
        *NEWEST_RECORD_FIRST,
        sqlite_where=_column != text("''"),
    )

marks = Table(
    "marks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
