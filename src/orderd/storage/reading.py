"""The half of the journal that reads: points on the loop, lists in a reader's thread."""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from orderd.core.order import Order
from orderd.core.records import RecordKind
from orderd.core.values import OrderId
from orderd.ports import (
    Discrepancy,
    DiscrepancyFilter,
    DiscrepancyPage,
    Entry,
    FillFilter,
    JournalBusyError,
    JournalError,
    OrderFilter,
    Page,
    Record,
    RecordFilter,
    RecordPage,
    Row,
)
from orderd.storage import discrepancies as differing
from orderd.storage import queries, record_queries
from orderd.storage.checkpoint import Checkpointer
from orderd.storage.lock import DatabaseLock
from orderd.storage.points import Points, order_of
from orderd.storage.prepare import microseconds
from orderd.storage.queries import Query
from orderd.storage.reads import Reads, Rows
from orderd.storage.recent import Recent
from orderd.storage.records import entry_of, record_of
from orderd.storage.runner import Runner
from orderd.storage.schema import DESK_EVENT, ORDER_EVENT
from orderd.storage.writer import Writer

Key = tuple[int | str, ...]

LOADED_AT_ONCE = 500
"""Orders of one read at recovery: the rows of all of them would take more memory than the orders."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What `open_journal` has opened, in the order in which `close` lets go of it."""

    path: Path
    journal_id: str
    head: int
    floor: int
    accounts: frozenset[str]
    runner: Runner
    writer: Writer
    points: Points
    reads: Reads
    checkpointer: Checkpointer
    lock: DatabaseLock


class Reading(ABC):
    """What `ports.Journal` answers from its tables. `SqliteJournal` is the other half."""

    def __init__(self, parts: Parts) -> None:
        """Read through these parts."""
        self._parts = parts
        self._points = parts.points
        self._recent = Recent()
        self._points.tell(self._failed_read)
        self._opened_at = self._head = parts.head
        self._accounts = dict.fromkeys(sorted(parts.accounts))
        self._is_closed = False

    @abstractmethod
    def _failed_read(self, error: Exception) -> JournalError:
        """Hear of a read that failed, and answer what its reader is told."""

    # ---------------------------------------------------------------------------------------------- point reads

    def find_key(self, account_id: str, client_order_id: str) -> OrderId | None:
        """See `Journal.find_key`."""
        return self._points.find_key(account_id, client_order_id)

    def find_broker_order(self, account_id: str, broker_order_id: str) -> OrderId | None:
        """See `Journal.find_broker_order`."""
        return self._points.find_broker_order(account_id, broker_order_id)

    def load(self, order_id: str) -> Order | None:
        """See `Journal.load`."""
        return self._points.load(order_id)

    def order_data(self, order_id: str) -> bytes | None:
        """See `Journal.order_data`."""
        return self._recent.order(order_id) or self._points.order_data(order_id)

    def fill_data(self, order_id: str) -> Sequence[bytes]:
        """See `Journal.fill_data`."""
        recent = self._recent.fills(order_id)
        return self._points.fill_data(order_id) if recent is None else recent

    # --------------------------------------------------------------------------------------------------- lists

    async def open_orders(self) -> Sequence[Order]:
        """See `Journal.open_orders`."""
        numbers = [row[0] for row in await self._read(queries.OPEN_NUMBERS, {})]
        orders: list[Order] = []
        for first in range(0, len(numbers), LOADED_AT_ONCE):
            orders += await self._orders(numbers[first : first + LOADED_AT_ONCE])
        return orders

    async def _orders(self, numbers: Sequence[int]) -> list[Order]:
        states: dict[str, tuple[bytes, int]] = {}
        booked: dict[str, list[bytes]] = {}
        rows = await self._read(queries.ORDERS_WITH_FILLS, {"numbers": json.dumps(numbers)})
        for order_id, state, sequence, fill in rows:
            states[order_id] = (state, sequence)
            if fill is not None:
                booked.setdefault(order_id, []).append(fill)
        return [
            order_of(state, sequence, booked.get(order_id, ()), opened_at=self._opened_at)
            for order_id, (state, sequence) in states.items()
        ]

    async def list_orders(self, where: OrderFilter, *, after_key: Key | None, limit: int) -> Page:
        """See `Journal.list_orders`. Keys are (created time in microseconds since 1970, order id)."""
        return await self._page(queries.orders_page(where, tuple(self._accounts), after_key, limit + 1), limit)

    async def snapshot(self, where: OrderFilter, *, limit: int) -> Page:
        """See `Journal.snapshot`."""
        return await self.list_orders(where, after_key=None, limit=limit)

    async def list_fills(self, where: FillFilter, *, after_key: Key | None, limit: int) -> Page:
        """See `Journal.list_fills`. Keys are (number in the book,)."""
        return await self._page(queries.fills_page(where, after_key, limit + 1), limit)

    async def list_events(self, order_id: str, *, after_version: int, limit: int) -> Page:
        """See `Journal.list_events`."""
        return await self._story(order_id, ORDER_EVENT, after_version, limit)

    async def _story(self, order_id: str, kind: int, after_version: int, limit: int) -> Page:
        values: queries.Values = {"order_id": order_id, "after": after_version, "kind": kind, "limit": limit + 1}
        return await self._page((queries.STORY, values), limit)

    async def events_after(self, sequence: int, *, limit: int) -> Sequence[Entry]:
        """See `Journal.events_after`."""
        rows = await self._read(queries.EVENTS_AFTER, {"after": sequence, "limit": limit})
        return [entry_of(row) for row in rows]

    # ------------------------------------------------------------------------------------------ records of the desk

    def record_data(self, record_id: str) -> bytes | None:
        """See `Journal.record_data`."""
        return self._points.record_data(record_id)

    def load_record(self, record_id: str) -> Record | None:
        """See `Journal.load_record`."""
        return self._points.load_record(record_id)

    def find_record(self, kind: RecordKind, account_id: str, client_key: str) -> Record | None:
        """See `Journal.find_record`."""
        return self._points.find_record(kind, account_id, client_key)

    async def open_records(self, kind: RecordKind) -> Sequence[Record]:
        """See `Journal.open_records`."""
        rows = await self._read(record_queries.OPEN_RECORDS, {"kind": kind.value})
        return [record_of(row) for row in rows]

    async def list_records(self, where: RecordFilter, *, after_key: Key | None, limit: int) -> Page:
        """See `Journal.list_records`. Keys are (created time in microseconds since 1970, record id)."""
        return await self._page(record_queries.records_page(where, tuple(self._accounts), after_key, limit + 1), limit)

    async def read_records(self, where: RecordFilter, *, after_key: Key | None, limit: int) -> RecordPage:
        """See `Journal.read_records`. Keys as in `list_records`."""
        head = self._head
        accounts = tuple(self._accounts)
        rows = await self._read(*record_queries.records_page(where, accounts, after_key, limit + 1, is_whole=True))
        records = tuple([record_of(row[1:]) for row in rows[:limit]])
        return RecordPage(
            records=records,
            keys=tuple([(microseconds(record.created_time), record.record_id) for record in records]),
            has_more=len(rows) > limit,
            sequence=rows[0][0] if rows else head,
        )

    async def list_record_events(self, record_id: str, *, after_version: int, limit: int) -> Page:
        """See `Journal.list_record_events`."""
        return await self._story(record_id, DESK_EVENT, after_version, limit)

    # ------------------------------------------------------------------------------------------------------ the others

    async def raw_payload(self, account_id: str, broker_order_ids: Sequence[str]) -> bytes | None:
        """See `Journal.raw_payload`."""
        values: queries.Values = {"account_id": account_id, "broker_order_ids": json.dumps(list(broker_order_ids))}
        rows = await self._read(queries.LATEST_RAW, values)
        return rows[0][0] if rows else None

    async def open_discrepancies(self, account_id: str) -> Sequence[Discrepancy]:
        """See `Journal.open_discrepancies`."""
        rows = await self._read(differing.OPEN, {"account_id": account_id})
        return [differing.record_of(row) for row in rows]

    async def accepted_discrepancies(self, account_id: str) -> Sequence[Discrepancy]:
        """See `Journal.accepted_discrepancies`."""
        rows = await self._read(differing.ACCEPTED, {"account_id": account_id})
        return [differing.record_of(row) for row in rows]

    async def discrepancy(self, discrepancy_id: str) -> Discrepancy | None:
        """See `Journal.discrepancy`."""
        rows = await self._read(differing.ONE, {"discrepancy_id": discrepancy_id})
        return differing.record_of(rows[0]) if rows else None

    async def list_discrepancies(
        self, where: DiscrepancyFilter, *, after_key: Key | None, limit: int
    ) -> DiscrepancyPage:
        """See `Journal.list_discrepancies`. Keys are (opened time in microseconds since 1970, discrepancy id)."""
        head = self._head
        rows = await self._read(*differing.page(where, after_key, limit + 1))
        records = tuple([differing.record_of(row[1:]) for row in rows[:limit]])
        return DiscrepancyPage(
            records=records,
            keys=tuple([differing.key_of(record) for record in records]),
            has_more=len(rows) > limit,
            sequence=rows[0][0] if rows else head,
        )

    async def mark(self, name: str) -> str | None:
        """See `Journal.mark`."""
        rows = await self._read(queries.MARK, {"name": name})
        return rows[0][0] if rows else None

    async def _page(self, asked: tuple[Query, queries.Values], limit: int) -> Page:
        """Read one row too many, to know whether more follow: head, then the key, then the message.

        The head comes from the rows' own snapshot; of an empty page it is one that was passed before.
        """
        head = self._head
        rows = await self._read(*asked)
        return Page(
            rows=tuple([Row(key=row[1:-1], data=row[-1]) for row in rows[:limit]]),
            has_more=len(rows) > limit,
            sequence=rows[0][0] if rows else head,
        )

    async def _read(self, query: Query, values: queries.Values) -> Rows:
        try:
            return await self._parts.reads.rows(query, values)
        except sqlite3.Error as error:
            raise self._failed_read(error) from error
        except SQLAlchemyError as error:  # closed, or no connection in time: nothing wrong with the disk
            if self._is_closed:
                raise JournalError("the journal is closed") from error
            raise JournalBusyError(f"the journal cannot be read now: {error}") from error
