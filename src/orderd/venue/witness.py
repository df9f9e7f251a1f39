"""Proof from outside that an order was recorded before it was sent: another process looks into the client's file."""

import sqlite3
from pathlib import Path
from typing import Final

QUESTION: Final = "SELECT 1 FROM orders WHERE client_order_id = ?"


class Witness:
    """Reads a SQLite file read-only, each time anew; a file that is not there yet has recorded nothing."""

    def __init__(self, database: Path, question: str = QUESTION) -> None:
        self._uri = f"{database.resolve().as_uri()}?mode=ro"
        self._question = question
        self._connection: sqlite3.Connection | None = None

    def __call__(self, client_order_id: str) -> bool:
        """Whether a committed row with this client order id is there now."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._uri, uri=True, isolation_level=None, timeout=5)
            return self._connection.execute(self._question, (client_order_id,)).fetchone() is not None
        except sqlite3.OperationalError:  # no file, no table yet, or locked for longer than the time-out
            self.close()
            return False

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
