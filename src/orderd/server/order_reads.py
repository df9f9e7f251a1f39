"""OrderService, the calls that read: one order, lists of orders, fills and events.

Stored bytes are copied into the answer as they stand. Reads never wait for the engine.
"""

from collections.abc import Sequence

import msgspec

from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from orderd.core.records import RecordKind
from orderd.engine.api import Engine, OrderRef
from orderd.ports import FillFilter, OrderFilter, Page, Row
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid
from orderd.server.pages import Place
from orderd.wire import page_token, splice
from orderd.wire.asks import FillsAsk, Invalid
from orderd.wire.validate_queries import fills_ask, get_ask, orders_ask, story_ask


class OrderReads:
    """GetOrder, ListOrders, ListFills, ListOrderEvents."""

    def __init__(self, engine: Engine) -> None:
        """Everything is read from the engine's journal; nothing is kept here."""
        self._engine = engine
        self._journal = engine.journal

    async def GetOrder(self, request: pb.GetOrderRequest, call: Call) -> bytes:
        """One order with its fills; with `full` also where it came from and the broker's own record."""
        ask = get_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        order_id, data = naming.order_data(self._engine, ask.order)
        call.note(order_id=order_id)
        fills = self._journal.fill_data(order_id)
        if not ask.is_full:
            return splice.get_order_response(data, fills)
        order = order_pb2.Order.FromString(data)
        raw = await self._journal.raw_payload(order.account_id, list(order.broker_order_ids))
        return splice.get_order_response(
            data, fills, decision=self._decision(order), broker_snapshot_json=(raw or b"").decode(errors="replace")
        )

    async def ListOrders(self, request: pb.ListOrdersRequest, call: Call) -> bytes:
        """One page of orders, newest first."""
        ask = orders_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.where.account_ids)
        place = Place(request, self._journal.journal_id)
        where = OrderFilter(**msgspec.structs.asdict(ask.where))
        page = await self._journal.list_orders(where, after_key=place.after_key, limit=ask.page_size)
        sequence = place.sequence(page.sequence)
        rows, token = place.cut(page, sequence)
        return splice.list_orders_response([row.data for row in rows], token, sequence)

    async def ListFills(self, request: pb.ListFillsRequest, call: Call) -> bytes:
        """One page of fills, in booking order."""
        ask = fills_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.where.account_ids)
        place = Place(request, self._journal.journal_id)
        page = await self._fills(ask, place.after_key)
        rows, token = place.cut(page)
        return splice.list_fills_response([row.data for row in rows], token)

    async def ListOrderEvents(self, request: pb.ListOrderEventsRequest, call: Call) -> bytes:
        """One page of an order's story, in the bytes that streams send."""
        ask = story_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        order_id = self._engine.find(OrderRef(order_id=ask.order_id))
        call.note(order_id=order_id)
        place = Place(request, self._journal.journal_id)
        after_version = 0 if place.after_key is None else int(place.after_key[0])
        page = await self._journal.list_events(order_id, after_version=after_version, limit=ask.page_size)
        rows, token = place.cut(page)
        compacted = self._compacted(order_id, rows) if place.is_first else 0
        return splice.list_order_events_response([row.data for row in rows], token, compacted)

    def _decision(self, order: order_pb2.Order) -> bytes | None:
        """The decision as it is recorded; what the order itself tells of it when nobody has."""
        record = self._journal.find_record(RecordKind.DECISION, order.account_id, order.decision_id)
        return _told_by(order) if record is None or not order.decision_id else record.body

    def _compacted(self, order_id: str, rows: Sequence[Row]) -> int:
        """How many events of the story's beginning are no longer kept: versions have no gaps."""
        if rows:
            return int(rows[0].key[0]) - 1
        data = self._journal.order_data(order_id)
        return 0 if data is None else order_pb2.Order.FromString(data).version

    async def _fills(self, ask: FillsAsk, after_key: page_token.Key | None) -> Page:
        """The journal filters by one order at a time; the pages of several are merged by their keys."""
        pages = [
            await self._journal.list_fills(where, after_key=after_key, limit=ask.page_size)
            for where in _fill_filters(ask)
        ]
        if len(pages) == 1:
            return pages[0]
        rows = sorted((row for page in pages for row in page.rows), key=lambda row: row.key)
        has_more = len(rows) > ask.page_size or any(page.has_more for page in pages)
        return Page(rows=tuple(rows[: ask.page_size]), has_more=has_more, sequence=pages[0].sequence)


def _fill_filters(ask: FillsAsk) -> list[FillFilter]:
    where = ask.where
    return [
        FillFilter(
            account_ids=where.account_ids,
            order_id=order_id,
            symbols=where.symbols,
            trade_ids=where.trade_ids,
            decision_ids=where.decision_ids,
            trace_ids=where.trace_ids,
            after=where.after,
            before=where.before,
        )
        for order_id in where.order_ids or ("",)
    ]


def _told_by(order: order_pb2.Order) -> bytes | None:
    """The decision as far as the order itself tells it."""
    if not order.decision_id:
        return None
    decision = order_pb2.Decision(
        decision_id=order.decision_id,
        account_id=order.account_id,
        trace_id=order.trace_id,
        strategy=order.strategy,
    )
    if order.HasField("decided_time"):
        decision.decided_time.CopyFrom(order.decided_time)
    return decision.SerializeToString()
