"""One hash a commit: beside the commit's last event, and in the head row."""

from alembic import op

from orderd.storage.chain import GENESIS, digest_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EVENTS_A_LINK = 1_000
"""Where the commits of the past ended is not known: so many of their events share one hash."""


def upgrade() -> None:
    """Add the columns, then link the events that are there."""
    op.execute("ALTER TABLE order_events ADD COLUMN commit_hash BLOB")
    op.execute("ALTER TABLE journal_meta RENAME TO journal_meta_before")
    op.execute(
        """
        CREATE TABLE journal_meta (
            meta_id INTEGER NOT NULL,
            journal_id TEXT NOT NULL,
            head_sequence INTEGER NOT NULL,
            created_us INTEGER NOT NULL,
            head_hash BLOB NOT NULL,
            floor_sequence INTEGER NOT NULL,
            floor_hash BLOB NOT NULL,
            verified_sequence INTEGER NOT NULL,
            PRIMARY KEY (meta_id)
        )
        """
    )
    connection = op.get_bind()
    head_hash = GENESIS
    last = 0
    while True:
        page = connection.exec_driver_sql(
            "SELECT sequence, body FROM order_events WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (last, EVENTS_A_LINK),
        ).fetchall()
        if not page:
            break
        last = page[-1][0]
        head_hash = digest_of(head_hash, [body for _, body in page])
        connection.exec_driver_sql("UPDATE order_events SET commit_hash = ? WHERE sequence = ?", (head_hash, last))
    connection.exec_driver_sql(
        """
        INSERT INTO journal_meta
        SELECT meta_id, journal_id, head_sequence, created_us, ?, 0, ?, 0 FROM journal_meta_before
        """,
        (head_hash, GENESIS),
    )
    op.execute("DROP TABLE journal_meta_before")
