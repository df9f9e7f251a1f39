"""Discrepancies know their order, whose word opened them, and who closed them why."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "DROP INDEX discrepancies_open",
    "ALTER TABLE discrepancies RENAME TO discrepancies_before",
    """
    CREATE TABLE discrepancies (
        discrepancy_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        order_id TEXT NOT NULL,
        broker_order_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        expected TEXT NOT NULL,
        observed TEXT NOT NULL,
        evidence TEXT NOT NULL,
        source TEXT NOT NULL,
        opened_us INTEGER NOT NULL,
        after_sequence INTEGER NOT NULL,
        resolved_us INTEGER,
        resolved_by TEXT NOT NULL,
        resolution TEXT NOT NULL,
        operator_name TEXT NOT NULL,
        PRIMARY KEY (discrepancy_id)
    )
    """,
    # Whoever closed one before wrote the reason into its evidence.
    """
    INSERT INTO discrepancies
    SELECT discrepancy_id, account_id, kind, subject,
           CASE WHEN EXISTS (SELECT 1 FROM orders WHERE orders.order_id = subject) THEN subject ELSE '' END,
           '', symbol, expected, observed, CASE WHEN resolved_us IS NULL THEN evidence ELSE '' END, '',
           opened_us, 0, resolved_us, '', CASE WHEN resolved_us IS NULL THEN '' ELSE evidence END, ''
    FROM discrepancies_before
    """,
    "DROP TABLE discrepancies_before",
    "CREATE INDEX discrepancies_by_time ON discrepancies (opened_us, discrepancy_id)",
    "CREATE UNIQUE INDEX discrepancies_open ON discrepancies (account_id, kind, subject) WHERE resolved_us IS NULL",
)


def upgrade() -> None:
    """Copy the records into a wider table."""
    for statement in STATEMENTS:
        op.execute(statement)
