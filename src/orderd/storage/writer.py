"""The single writer: one connection, one transaction for everything that was waiting.

Before `write`: nothing of the batch is durable. After it returned: all of it is, except the calls whose result is an
exception, and of those nothing is. When it raises sqlite3.Error the outcome is unknown and the process must end.

Rule: sequences are given out here, inside the transaction, so sequence order is commit order. A call that is refused
gives its numbers back before the next call takes them: there are no gaps. What is committed is hashed here (chain.py).
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from orderd.core.order import Order
from orderd.core.records import RecordKind
from orderd.core.turnstiles import Recorded
from orderd.ports import Entry, KeyTakenError, RecordTakenError
from orderd.storage import statements
from orderd.storage.chain import GENESIS, digest_of, read_meta
from orderd.storage.errors import ConflictError
from orderd.storage.prepare import Cells, Prepared, PreparedDiscrepancy
from orderd.storage.recent import Changed, Fill
from orderd.storage.records import COLUMNS, FIXED, PreparedChange, desk_entry
from orderd.storage.schema import DESK_EVENT, ORDER_EVENT
from orderd.wire.splice import complete_desk_event, complete_event, with_sequence

_VERSION: Final = COLUMNS.index("version")


class AppendCall(msgspec.Struct, frozen=True):
    """One call of `append`: all of it or nothing."""

    appends: tuple[Prepared, ...]
    can_wait: bool = False
    """See `Append.can_wait`."""


class RecordCall(msgspec.Struct, frozen=True):
    """One call of `record`: all of it or nothing."""

    changes: tuple[PreparedChange, ...]
    marks: tuple[Cells, ...]
    can_wait: bool = False


class Statement(msgspec.Struct, frozen=True):
    """A single small write beside the orders (a mark); answers whether a row changed."""

    text: str
    cells: Cells
    can_wait: bool = False


Call = AppendCall | RecordCall | Statement
Result = tuple[Recorded, ...] | tuple[int, ...] | bool | KeyTakenError | RecordTakenError | ConflictError


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
        self.is_closed: dict[str, bool] = {}
        """Discrepancies that this transaction opens or closes."""
        self.records: dict[str, tuple[int, Cells]] = {}
        """The version before this transaction (0: it is new), and the row after it."""
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
        if self.raw or self.discrepancies or self.records:
            self._run_rarer(connection)

    def _run_rarer(self, connection: sqlite3.Connection) -> None:
        if self.raw:
            statements.INSERT_RAW.run(connection, self.raw)
        if self.discrepancies:
            statements.UPSERT_DISCREPANCIES.run(connection, self.discrepancies)
        if self.records:
            self._run_records(connection)

    def _run_records(self, connection: sqlite3.Connection) -> None:
        new = [row for previous, row in self.records.values() if not previous]
        changed = [(previous, *row) for previous, row in self.records.values() if previous]
        statements.INSERT_RECORDS.run(connection, new)
        if statements.UPDATE_RECORDS.run(connection, changed) < len(changed):
            raise sqlite3.IntegrityError("a record is not at the version this change follows, or was made as another")


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
            rows.events[-1] = (*rows.events[-1][:4], digest, *rows.events[-1][5:])
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

    def _refusal(self, call: Call, error: sqlite3.IntegrityError) -> KeyTakenError | RecordTakenError | ConflictError:
        taken: KeyTakenError | RecordTakenError | None = None
        match call:
            case AppendCall():
                taken = self._taken_key(call)
            case RecordCall():
                taken = self._taken_record(call)
            case Statement():
                pass
        return taken or ConflictError(str(error))

    def _taken_key(self, call: AppendCall) -> KeyTakenError | None:
        keys: list[tuple[str, str]] = []
        for prepared in call.appends:
            order = prepared.order
            if order is None or not prepared.is_new or order.is_external:
                continue
            key = (order.intent.account_id, order.intent.client_order_id)
            if key in keys or self._connection.execute(statements.FIND_KEY, key).fetchone():
                return KeyTakenError(key[1])
            keys.append(key)
        return None

    def _taken_record(self, call: RecordCall) -> RecordTakenError | None:
        keys: list[tuple[str, str, str]] = []
        for change in call.changes:
            record = change.record
            if record.version > 1 or not record.client_key:
                continue
            key = (record.kind.value, record.account_id, record.client_key)
            if key in keys or self._connection.execute(statements.FIND_RECORD, key).fetchone():
                return RecordTakenError(record.kind, record.client_key)
            keys.append(key)
        return None

    def _take(self, call: Call, rows: _Rows) -> Result:
        match call:
            case AppendCall():
                recorded: list[Recorded] = []
                for prepared in call.appends:
                    rows.raw += prepared.raw
                    if prepared.order is not None:
                        recorded.append(self._record(prepared, prepared.order, rows))
                    for differing in prepared.discrepancies:
                        self._differ(differing, rows)
                return tuple(recorded)
            case RecordCall():
                for mark in call.marks:
                    self._connection.execute(statements.SET_MARK, mark)
                return tuple([self._change(change, rows) for change in call.changes])
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
            rows.events.append((sequence, order.order_id, event.version, data, None, ORDER_EVENT))
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

    def _change(self, change: PreparedChange, rows: _Rows) -> int:
        """Give a record's event its sequence, and put its row where one row a record is written."""
        record = change.record
        sequence = self._head = self._head + 1
        body = with_sequence(record.body, sequence)
        data = complete_desk_event(change.event, record.kind, body, sequence)
        rows.events.append((sequence, record.record_id, record.version, data, None, DESK_EVENT))
        rows.entries.append(desk_entry(sequence, record.record_id, change.said, record.kind, data))
        row = (*change.fixed, *change.changing, record.version, sequence, body, record.state)
        known = rows.records.get(record.record_id)
        if known is not None:
            _must_follow(known[1], change)
        rows.records[record.record_id] = (record.version - 1 if known is None else known[0], row)
        return sequence

    def _differ(self, differing: PreparedDiscrepancy, rows: _Rows) -> None:
        """Open or close a discrepancy; what is there already, or closed already, stays as it is and tells nothing."""
        discrepancy_id, is_closing = differing.discrepancy_id, differing.is_closing
        is_closed = rows.is_closed.get(discrepancy_id)
        if is_closed is None:
            row = self._connection.execute(statements.DISCREPANCY_END, (discrepancy_id,)).fetchone()
            is_closed = None if row is None else row[0] is not None
        if is_closed or (is_closed is not None and not is_closing):
            return
        rows.is_closed[discrepancy_id] = is_closing
        rows.discrepancies.append(differing.cells)
        sequence = self._head = self._head + 1
        kind = RecordKind.DISCREPANCY
        data = complete_desk_event(differing.event, kind, differing.body, sequence)
        rows.events.append((sequence, discrepancy_id, 2 if is_closing else 1, data, None, DESK_EVENT))
        rows.entries.append(desk_entry(sequence, discrepancy_id, differing.said, kind, data))


def _must_follow(row: Cells, change: PreparedChange) -> None:
    """Hold a second change of a record in one transaction to what its row will be. Raises IntegrityError."""
    record = change.record
    if row[: len(FIXED)] != change.fixed or row[_VERSION] != record.version - 1:
        raise sqlite3.IntegrityError(f"{record.kind} {record.record_id} does not follow its last version")


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
