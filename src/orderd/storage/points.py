"""Synchronous point reads on the loop: one statement, one snapshot, some microseconds.

A hop to a reader thread would cost ten times the read itself; each of these touches a handful of pages.
"""

import sqlite3
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from orderd.core.order import Fill, Order
from orderd.core.records import RecordKind
from orderd.core.values import ZERO, AccountId, OrderId
from orderd.ports import JournalError, Record
from orderd.storage import statements
from orderd.storage.records import record_of

ONE = Decimal(1)
_order = msgspec.msgpack.Decoder(Order)
_fill = msgspec.msgpack.Decoder(Fill)


def order_of(state: bytes, sequence: int, fills: Sequence[bytes], *, opened_at: int) -> Order:
    """Build a core Order from its row and the rows of its fills, in booking order.

    `opened_at`: the head when this process opened the journal. Monotonic times of earlier processes mean nothing here,
    so an order last changed by one of them has `heard_ns` 0.
    """
    order = _order.decode(state)
    intent = order.intent
    return msgspec.structs.replace(
        order,
        sequence=sequence,
        # What thousands of orders have in common is kept once.
        intent=msgspec.structs.replace(
            intent,
            account_id=AccountId(sys.intern(intent.account_id)),
            symbol=sys.intern(intent.symbol),
            strategy=sys.intern(intent.strategy),
        ),
        filled_quantity=_shared(order.filled_quantity, ZERO),
        filled_value=_shared(order.filled_value, ZERO),
        multiplier=_shared(order.multiplier, ONE),
        fills=tuple([_fill.decode(fill) for fill in fills]),
        heard_ns=order.heard_ns if sequence > opened_at else 0,
    )


def _shared(value: Decimal, common: Decimal) -> Decimal:
    """The common object for a value that is the same to the last digit and sign."""
    return common if not value.compare_total(common) else value


class Points:
    """The loop's own read-only connection."""

    def __init__(self, connection: sqlite3.Connection, *, opened_at: int) -> None:
        """Take over a settled read-only connection."""
        self._connection = connection
        self._opened_at = opened_at
        self._on_failure: Callable[[Exception], JournalError] = _unreadable

    def tell(self, on_failure: Callable[[Exception], JournalError]) -> None:
        """Say who hears of a read that failed, and answers with what the reader is told."""
        self._on_failure = on_failure

    def find_key(self, account_id: str, client_order_id: str) -> OrderId | None:
        """See `Journal.find_key`."""
        rows = self._rows(statements.FIND_KEY, (account_id, client_order_id))
        return OrderId(rows[0][0]) if rows else None

    def find_broker_order(self, account_id: str, broker_order_id: str) -> OrderId | None:
        """See `Journal.find_broker_order`."""
        rows = self._rows(statements.FIND_BROKER_ORDER, (account_id, broker_order_id))
        return OrderId(rows[0][0]) if rows else None

    def load(self, order_id: str) -> Order | None:
        """See `Journal.load`."""
        rows = self._rows(statements.LOAD, (order_id,))
        if not rows:
            return None
        state, sequence, _ = rows[0]
        fills = [fill for _, _, fill in rows if fill is not None]
        return order_of(state, sequence, fills, opened_at=self._opened_at)

    def order_data(self, order_id: str) -> bytes | None:
        """See `Journal.order_data`."""
        rows = self._rows(statements.ORDER_DATA, (order_id,))
        return rows[0][0] if rows else None

    def fill_data(self, order_id: str) -> Sequence[bytes]:
        """See `Journal.fill_data`."""
        return [row[0] for row in self._rows(statements.FILL_DATA, (order_id,))]

    def record_data(self, record_id: str) -> bytes | None:
        """See `Journal.record_data`."""
        rows = self._rows(statements.RECORD_DATA, (record_id,))
        return rows[0][0] if rows else None

    def load_record(self, record_id: str) -> Record | None:
        """See `Journal.load_record`."""
        rows = self._rows(statements.LOAD_RECORD, (record_id,))
        return record_of(rows[0]) if rows else None

    def find_record(self, kind: RecordKind, account_id: str, client_key: str) -> Record | None:
        """See `Journal.find_record`."""
        rows = self._rows(statements.FIND_RECORD, (kind.value, account_id, client_key))
        return record_of(rows[0]) if rows else None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _rows(self, text: str, cells: tuple[str, ...]) -> list[Any]:
        try:
            return self._connection.execute(text, cells).fetchall()
        except sqlite3.Error as error:
            raise self._on_failure(error) from error


def _unreadable(error: Exception) -> JournalError:
    return JournalError(f"the journal cannot be read: {error}")
