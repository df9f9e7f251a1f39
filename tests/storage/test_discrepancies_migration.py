"""Revision 0003: what was open stays open and stops what it stopped; what was closed keeps its reason."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import StaticPool, create_engine

from orderd.core.discrepancies import DiscrepancyKind
from orderd.storage import migrate
from orderd.storage.connect import open_writer

OLD = (
    "INSERT INTO discrepancies (discrepancy_id, account_id, kind, subject, symbol, expected, observed, evidence, "
    "opened_us, resolved_us) VALUES (?, 'paper', ?, ?, 'KO', '10', '12', ?, ?, ?)"
)
ROWS = (
    ("d-1", "OVERFILL", "o-1", "", 1_000, None),
    ("d-2", "ORDER_VANISHED", "o-2", "looked at it", 2_000, 3_000),
    ("d-3", "MASS_DISAPPEARANCE", "paper", "", 4_000, None),
)
ORDER = (
    "INSERT INTO orders SELECT NULL, 'o-1', 'paper', 'k', 1, 'FILLED', 'KO', '', '', 'US_EQUITY', 'BUY', '', '', '', "
    "0, '', '', '', 1, 1, x'', x''"
)


def upgraded(database: Path, to: str) -> None:
    """Bring the file to a revision."""
    with closing(open_writer(database)) as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            migrate.upgrade(connection, to)
        engine.dispose()


def test_records_of_the_first_tables_are_taken_along(database: Path) -> None:
    upgraded(database, "0002")
    with closing(open_writer(database)) as raw:
        raw.execute(ORDER)
        raw.executemany(OLD, ROWS)
    upgraded(database, "head")
    with closing(sqlite3.connect(database)) as raw:
        rows = raw.execute(
            "SELECT discrepancy_id, order_id, evidence, resolution, resolved_us FROM discrepancies ORDER BY opened_us"
        ).fetchall()
    assert rows == [
        ("d-1", "o-1", "", "", None),
        ("d-2", "", "", "looked at it", 3_000),
        ("d-3", "", "", "", None),
    ]
    kinds = {kind for _, kind, *_ in ROWS}
    assert kinds <= set(DiscrepancyKind), "every kind of then is one of now"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
