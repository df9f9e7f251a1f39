"""The single writer: one connection, one transaction for everything that was waiting.

Before `write`: nothing of the batch is durable. After it returned: all of it is, except the calls whose result is an
exception, and of those nothing is. When it raises sqlite3.Error the outcome is unknown and the process must end.

Rule: sequences are given out here, inside the transaction, so sequence order is commit order. A call that is refused
gives its numbers back before the next call takes them: there are no gaps. What is committed is hashed here (chain.py).
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from orderd.core.order import Order
from orderd.core.turnstiles import Recorded
from orderd.ports import Entry, KeyTakenError
from orderd.storage import statements
from orderd.storage.chain import GENESIS, digest_of, read_meta
from orderd.storage.errors import ConflictError
from orderd.storage.prepare import Cells, Prepared
from orderd.storage.recent import Changed, Fill
from orderd.wire.splice import complete_event, with_sequence


class AppendCall(msgspec.Struct, frozen=True):
    """One call of `append`: all of it or nothing."""

    appends: tuple[Prepared, ...]


class Statement(msgspec.Struct, frozen=True):
    """A single small write beside the orders (a mark); answers whether a row changed."""

    text: str
    cells: Cells


Call = AppendCall | Statement
Result = tuple[Recorded, ...] | bool | KeyTakenError | ConflictError


class Written(msgspec.Struct, frozen=True):
    """What a commit did: one result a call, and every event in sequence order."""

    results: tuple[Result, ...]
    entries: tuple[Entry, ...]
    changes: tuple[Changed, ...]
    """Every order that was written, as often as it was."""
    head: int
    rows: int
    """Roughly how many rows were written: an order and its events."""


class _Rows:
    """What one transaction writes, collected so that each table is written in one statement."""

    def __init__(self) -> None:
        self.inserts: dict[str, Cells] = {}
        self.updates: dict[str, Cells] = {}
        self.events: list[Cells] = []
        self.fills: list[Cells] = []
        self.links: list[Cells] = []
        self.raw: list[Cells] = []
        self.discrepancies: list[Cells] = []
        self.entries: list[Entry] = []
        self.changes: list[Changed] = []

    def run(self, connection: sqlite3.Connection) -> None:
        if self.inserts:
            statements.INSERT_ORDERS.run(connection, list(self.inserts.values()))
        if self.updates and statements.UPDATE_ORDERS.run(connection, list(self.updates.values())) < len(self.updates):
            raise sqlite3.IntegrityError("an order is not at the version this append follows")
        if self.events:
            statements.INSERT_EVENTS.run(connection, self.events)
        if self.fills:
            statements.UPSERT_FILLS.run(connection, self.fills)
        if self.links:
            statements.UPSERT_LINKS.run(connection, self.links)
        if self.raw:
            statements.INSERT_RAW.run(connection, self.raw)
        if self.discrepancies:
            statements.UPSERT_DISCREPANCIES.run(connection, self.discrepancies)


class Writer:
    """Writes batches, one after the other, on one connection. Plain and synchronous; a runner says when and where."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take over a settled connection. The schema is in place."""
        self._connection = connection
        meta = read_meta(connection)
        self._head, self._hash = (0, GENESIS) if meta is None else (meta.head.sequence, meta.head.digest)

    def write(self, batch: Sequence[Call]) -> Written:
        """Commit the whole batch in one transaction. Raises sqlite3.Error when the outcome is unknown."""
        head = self._head
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            written = self._together(batch)
        except sqlite3.IntegrityError:
            # Rare: a key was taken, or a caller is wrong. Again, call by call, to find out whose.
            connection.execute("ROLLBACK")
            self._head = head
            connection.execute("BEGIN IMMEDIATE")
            written = self._one_by_one(batch)
        if self._head != head:
            connection.execute(statements.MOVE_HEAD, (self._head, self._hash))
        connection.execute("COMMIT")
        return written

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _together(self, batch: Sequence[Call]) -> Written:
        rows = _Rows()
        results = tuple([self._take(call, rows) for call in batch])
        digest = self._hash
        if rows.events:
            digest = digest_of(digest, [entry.data for entry in rows.entries])
            rows.events[-1] = (*rows.events[-1][:-1], digest)
        rows.run(self._connection)
        self._hash = digest
        return Written(results, tuple(rows.entries), tuple(rows.changes), self._head, len(results) + len(rows.entries))

    def _one_by_one(self, batch: Sequence[Call]) -> Written:
        results: list[Result] = []
        entries: list[Entry] = []
        changes: list[Changed] = []
        for call in batch:
            head = self._head
            rows = _Rows()
            self._connection.execute("SAVEPOINT one_call")
            try:
                result = self._take(call, rows)
                rows.run(self._connection)
            except sqlite3.IntegrityError as error:
                self._connection.execute("ROLLBACK TO one_call")
                self._head = head
                result = self._refusal(call, error)
            else:
                entries += rows.entries
                changes += rows.changes
            self._connection.execute("RELEASE one_call")
            results.append(result)
        if entries:
            self._hash = digest_of(self._hash, [entry.data for entry in entries])
            self._connection.execute(statements.END_COMMIT, (self._hash, self._head))
        return Written(tuple(results), tuple(entries), tuple(changes), self._head, len(results) + len(entries))

    def _refusal(self, call: Call, error: sqlite3.IntegrityError) -> KeyTakenError | ConflictError:
        if isinstance(call, AppendCall):
            keys: list[tuple[str, str]] = []
            for prepared in call.appends:
                order = prepared.order
                if order is None or not prepared.is_new or order.is_external:
                    continue
                key = (order.intent.account_id, order.intent.client_order_id)
                if key in keys or self._connection.execute(statements.FIND_KEY, key).fetchone():
                    return KeyTakenError(key[1])
                keys.append(key)
        return ConflictError(str(error))

    def _take(self, call: Call, rows: _Rows) -> Result:
        match call:
            case AppendCall():
                recorded: list[Recorded] = []
                for prepared in call.appends:
                    rows.raw += prepared.raw
                    rows.discrepancies += prepared.discrepancies
                    if prepared.order is not None:
                        recorded.append(self._record(prepared, prepared.order, rows))
                return tuple(recorded)
            case Statement():
                # A statement that follows appends of its batch must see them: none does, so order does not matter.
                return self._connection.execute(call.text, call.cells).rowcount > 0

    def _record(self, prepared: Prepared, order: Order, rows: _Rows) -> Recorded:
        """Give each event its sequence and finish its bytes."""
        first = sequence = self._head + 1
        body = b""
        fills: list[Fill] = []
        for event in prepared.events:
            sequence = self._head + 1
            body = with_sequence(event.order, sequence)
            data = complete_event(event.event, body, sequence)
            rows.events.append((sequence, order.order_id, event.version, data, None))
            rows.entries.append(_entry(sequence, order, data))
            for fill in event.fills:
                rows.fills.append((*fill.cells[:-2], sequence, *fill.cells[-2:]))
                fills.append((fill.fill_id, fill.body))
            self._head = sequence
        rows.changes.append(Changed(order.order_id, body, prepared.is_new, tuple(fills)))
        rows.links += prepared.links
        self._place(prepared, order, (sequence, body), rows)
        return Recorded(order=msgspec.structs.replace(order, sequence=sequence), first_sequence=first)

    def _place(self, prepared: Prepared, order: Order, at: tuple[int, bytes], rows: _Rows) -> None:
        """Put the order's row where one row an order is written, however often it changed in this batch."""
        order_id = order.order_id
        tail = (order.version, *at, prepared.state)
        if prepared.is_new and order_id not in rows.inserts:
            rows.inserts[order_id] = (*prepared.cells, *tail)
        elif prepared.is_new:
            raise sqlite3.IntegrityError(f"order {order_id} is new twice")
        elif order_id in rows.inserts:
            rows.inserts[order_id] = (*prepared.cells, *tail)
        else:
            earlier = rows.updates.get(order_id)
            previous = prepared.events[0].version - 1 if earlier is None else earlier[1]
            rows.updates[order_id] = (order_id, previous, order.state.value, *tail)


def _entry(sequence: int, order: Order, data: bytes) -> Entry:
    intent = order.intent
    return Entry(
        sequence=sequence,
        account_id=intent.account_id,
        order_id=order.order_id,
        symbol=intent.symbol,
        strategy=intent.strategy,
        trace_id=intent.trace_id,
        decision_id=intent.decision_id,
        trade_id=intent.trade_id,
        data=data,
    )
