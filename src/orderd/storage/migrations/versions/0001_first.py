"""The first schema of the journal."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE discrepancies (
        discrepancy_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        symbol TEXT NOT NULL,
        expected TEXT NOT NULL,
        observed TEXT NOT NULL,
        evidence TEXT NOT NULL,
        opened_us INTEGER NOT NULL,
        resolved_us INTEGER,
        PRIMARY KEY (discrepancy_id)
    )
    """,
    "CREATE UNIQUE INDEX discrepancies_open ON discrepancies (account_id, kind, subject) WHERE resolved_us IS NULL",
    """
    CREATE TABLE journal_meta (
        meta_id INTEGER NOT NULL,
        journal_id TEXT NOT NULL,
        head_sequence INTEGER NOT NULL,
        created_us INTEGER NOT NULL,
        PRIMARY KEY (meta_id)
    )
    """,
    """
    CREATE TABLE marks (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (name)
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE order_events (
        sequence INTEGER NOT NULL,
        order_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (sequence)
    )
    """,
    "CREATE UNIQUE INDEX order_events_by_order ON order_events (order_id, version)",
    """
    CREATE TABLE orders (
        order_number INTEGER NOT NULL,
        order_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL,
        created_us INTEGER NOT NULL,
        status TEXT NOT NULL,
        symbol TEXT NOT NULL,
        underlying TEXT NOT NULL,
        expiry_date TEXT NOT NULL,
        asset_class TEXT NOT NULL,
        side TEXT NOT NULL,
        role TEXT NOT NULL,
        strategy TEXT NOT NULL,
        strategy_type TEXT NOT NULL,
        is_external INTEGER NOT NULL,
        trace_id TEXT NOT NULL,
        decision_id TEXT NOT NULL,
        trade_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        body BLOB NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (order_number)
    )
    """,
    "CREATE INDEX orders_by_account ON orders (account_id, created_us, order_id)",
    "CREATE INDEX orders_by_decision ON orders (decision_id, created_us, order_id) WHERE decision_id != ''",
    "CREATE UNIQUE INDEX orders_by_id ON orders (order_id)",
    "CREATE UNIQUE INDEX orders_by_key ON orders (account_id, client_order_id) WHERE client_order_id != ''",
    "CREATE INDEX orders_by_status ON orders (status, account_id, created_us, order_id)",
    "CREATE INDEX orders_by_strategy ON orders (strategy, created_us, order_id) WHERE strategy != ''",
    "CREATE INDEX orders_by_symbol ON orders (symbol, created_us, order_id)",
    "CREATE INDEX orders_by_trace ON orders (trace_id, created_us, order_id) WHERE trace_id != ''",
    "CREATE INDEX orders_by_trade ON orders (trade_id, created_us, order_id) WHERE trade_id != ''",
    "CREATE INDEX orders_by_underlying ON orders (underlying, created_us, order_id) WHERE underlying != ''",
    """
    CREATE TABLE raw_payloads (
        payload_number INTEGER NOT NULL,
        account_id TEXT NOT NULL,
        broker_order_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        is_quarantined INTEGER NOT NULL,
        recorded_us INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (payload_number)
    )
    """,
    "CREATE INDEX raw_payloads_by_broker_order ON raw_payloads (account_id, broker_order_id, payload_number)",
    "CREATE INDEX raw_payloads_quarantined ON raw_payloads (account_id, payload_number) WHERE is_quarantined = 1",
    """
    CREATE TABLE broker_links (
        account_id TEXT NOT NULL,
        broker_order_id TEXT NOT NULL,
        order_id TEXT NOT NULL,
        PRIMARY KEY (account_id, broker_order_id),
        FOREIGN KEY(order_id) REFERENCES orders (order_id)
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE fills (
        fill_number INTEGER NOT NULL,
        fill_id TEXT NOT NULL,
        order_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        trade_id TEXT NOT NULL,
        status TEXT NOT NULL,
        quantity TEXT NOT NULL,
        price TEXT NOT NULL,
        recorded_us INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        body BLOB NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (fill_number),
        FOREIGN KEY(order_id) REFERENCES orders (order_id)
    )
    """,
    "CREATE INDEX fills_by_account ON fills (account_id, fill_number)",
    "CREATE UNIQUE INDEX fills_by_id ON fills (fill_id)",
    "CREATE INDEX fills_by_order ON fills (order_id, fill_number)",
    "CREATE INDEX fills_by_symbol ON fills (symbol, fill_number)",
    "CREATE INDEX fills_by_time ON fills (recorded_us, fill_number)",
    "CREATE INDEX fills_by_trade ON fills (trade_id, fill_number) WHERE trade_id != ''",
)


def upgrade() -> None:
    """Create every table."""
    for statement in STATEMENTS:
        op.execute(statement)
