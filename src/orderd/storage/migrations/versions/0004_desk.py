"""What the desk remembers, and its events among those of the orders."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE order_events ADD COLUMN kind INTEGER DEFAULT 0 NOT NULL",
    """
    CREATE TABLE desk_records (
        record_number INTEGER NOT NULL,
        record_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        account_id TEXT NOT NULL,
        client_key TEXT NOT NULL,
        created_us INTEGER NOT NULL,
        symbol TEXT NOT NULL,
        underlying TEXT NOT NULL,
        expiry_date TEXT NOT NULL,
        strategy TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        decision_id TEXT NOT NULL,
        trade_id TEXT NOT NULL,
        status TEXT NOT NULL,
        is_open INTEGER NOT NULL,
        version INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        body BLOB NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (record_number)
    )
    """,
    "CREATE UNIQUE INDEX desk_records_by_id ON desk_records (record_id)",
    "CREATE UNIQUE INDEX desk_records_by_key ON desk_records (kind, account_id, client_key) WHERE client_key != ''",
    "CREATE INDEX desk_records_by_account ON desk_records (account_id, kind, created_us, record_id)",
    "CREATE INDEX desk_records_by_status ON desk_records (kind, status, account_id, created_us, record_id)",
    "CREATE INDEX desk_records_open ON desk_records (kind, created_us, record_id) WHERE is_open = 1",
    "CREATE INDEX desk_records_by_symbol ON desk_records (symbol, kind, created_us, record_id) WHERE symbol != ''",
    "CREATE INDEX desk_records_by_strategy ON desk_records (strategy, kind, created_us, record_id) "
    "WHERE strategy != ''",
    "CREATE INDEX desk_records_by_trace ON desk_records (trace_id, kind, created_us, record_id) WHERE trace_id != ''",
    "CREATE INDEX desk_records_by_decision ON desk_records (decision_id, kind, created_us, record_id) "
    "WHERE decision_id != ''",
    "CREATE INDEX desk_records_by_trade ON desk_records (trade_id, kind, created_us, record_id) WHERE trade_id != ''",
)


def upgrade() -> None:
    """Tell events apart, and make room for records."""
    for statement in STATEMENTS:
        op.execute(statement)
