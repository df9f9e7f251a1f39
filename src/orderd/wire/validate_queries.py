"""Requests that read: one order, lists, streams."""

from typing import Final

from google.protobuf.duration_pb2 import Duration

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.wire import enums
from orderd.wire.asks import (
    BrokerOrdersAsk,
    FillQuery,
    FillsAsk,
    GetAsk,
    Invalid,
    OrderName,
    OrderQuery,
    OrdersAsk,
    StoryAsk,
    StreamAsk,
)
from orderd.wire.fields import Fields
from orderd.wire.symbols import MAX_SYMBOL

DEFAULT_HEARTBEAT_MS: Final = 15_000
MIN_HEARTBEAT_MS: Final = 1_000
MAX_HEARTBEAT_MS: Final = 60_000
_MAX_NANOS: Final = 999_999_999


def get_ask(request: service_pb.GetOrderRequest) -> GetAsk | Invalid:
    """Check which order is meant."""
    fields = Fields()
    key = request.WhichOneof("key")
    if key is None:
        fields.refuse("order_id", "is required: one of order_id, client_order_id and broker_order_id")
    elif not getattr(request, key):
        fields.refuse(key, "must not be empty")
    ask = GetAsk(
        order=OrderName(
            order_id=fields.text("order_id", request.order_id),
            client_order_id=fields.key("client_order_id", request.client_order_id),
            broker_order_id=fields.text("broker_order_id", request.broker_order_id),
            account_id=fields.text("account_id", request.account_id),
        ),
        is_full=request.full,
    )
    return fields.invalid() if fields.violations else ask


def orders_ask(request: service_pb.ListOrdersRequest) -> OrdersAsk | Invalid:
    """Check the filters of a list of orders."""
    fields = Fields()
    where = OrderQuery(
        account_ids=fields.several("account_ids", request.account_ids),
        states=fields.several_words("statuses", request.statuses, enums.STATUS),
        open_only=request.open_only,
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        underlyings=fields.several("underlyings", request.underlyings, MAX_SYMBOL),
        expires_on_or_after=fields.day("expiry_date_from", request.expiry_date_from),
        expires_on_or_before=fields.day("expiry_date_to", request.expiry_date_to),
        asset_classes=fields.several_words("asset_classes", request.asset_classes, enums.ASSET_CLASS),
        sides=fields.several_words("sides", request.sides, enums.SIDE),
        roles=fields.several_words("roles", request.roles, enums.ROLE),
        strategies=fields.several("strategies", request.strategies),
        strategy_types=fields.several("strategy_types", request.strategy_types),
        is_external=request.external if request.HasField("external") else None,
        trace_ids=fields.several("trace_ids", request.trace_ids),
        decision_ids=fields.several("decision_ids", request.decision_ids),
        trade_ids=fields.several("trade_ids", request.trade_ids),
        created_after=fields.time(
            "created_after_time", request.created_after_time if request.HasField("created_after_time") else None
        ),
        created_before=fields.time(
            "created_before_time", request.created_before_time if request.HasField("created_before_time") else None
        ),
    )
    fields.time_range(("created_after_time", where.created_after), ("created_before_time", where.created_before))
    if (
        where.expires_on_or_after
        and where.expires_on_or_before
        and where.expires_on_or_after > where.expires_on_or_before
    ):
        fields.refuse("expiry_date_to", "must not be before expiry_date_from")
    page_size = fields.page_size(request.page_size)
    return fields.invalid() if fields.violations else OrdersAsk(where=where, page_size=page_size)


def fills_ask(request: service_pb.ListFillsRequest) -> FillsAsk | Invalid:
    """Check the filters of a list of fills."""
    fields = Fields()
    where = FillQuery(
        account_ids=fields.several("account_ids", request.account_ids),
        order_ids=fields.several("order_ids", request.order_ids),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        trade_ids=fields.several("trade_ids", request.trade_ids),
        decision_ids=fields.several("decision_ids", request.decision_ids),
        trace_ids=fields.several("trace_ids", request.trace_ids),
        after=fields.time("after_time", request.after_time if request.HasField("after_time") else None),
        before=fields.time("before_time", request.before_time if request.HasField("before_time") else None),
    )
    fields.time_range(("after_time", where.after), ("before_time", where.before))
    page_size = fields.page_size(request.page_size)
    return fields.invalid() if fields.violations else FillsAsk(where=where, page_size=page_size)


def story_ask(request: service_pb.ListOrderEventsRequest) -> StoryAsk | Invalid:
    """Check whose events are asked for."""
    fields = Fields()
    ask = StoryAsk(order_id=fields.needed("order_id", request.order_id), page_size=fields.page_size(request.page_size))
    return fields.invalid() if fields.violations else ask


def stream_ask(request: service_pb.StreamOrderEventsRequest) -> StreamAsk | Invalid:
    """Check a subscription by itself; what the journal can serve is the server's to say."""
    fields = Fields()
    after_sequence = request.after_sequence if request.HasField("after_sequence") else None
    if after_sequence is not None and after_sequence < 0:
        fields.refuse("after_sequence", "must not be negative")
    if after_sequence is not None and request.snapshot:
        fields.refuse("snapshot", "must not be set together with after_sequence")
    ask = StreamAsk(
        account_ids=fields.several("account_ids", request.account_ids),
        order_ids=fields.several("order_ids", request.order_ids),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        strategies=fields.several("strategies", request.strategies),
        trace_ids=fields.several("trace_ids", request.trace_ids),
        decision_ids=fields.several("decision_ids", request.decision_ids),
        trade_ids=fields.several("trade_ids", request.trade_ids),
        after_sequence=after_sequence,
        journal_id=fields.text("journal_id", request.journal_id),
        with_snapshot=request.snapshot,
        heartbeat_ms=heartbeat_ms(
            request.heartbeat_interval if request.HasField("heartbeat_interval") else None, fields
        ),
    )
    return fields.invalid() if fields.violations else ask


def broker_orders_ask(request: broker_pb.ListBrokerOrdersRequest) -> BrokerOrdersAsk | Invalid:
    """Check a comparison with the broker."""
    fields = Fields()
    ask = BrokerOrdersAsk(
        account_id=fields.text("account_id", request.account_id),
        open_only=request.open_only,
        orphans_only=request.orphans_only,
        page_size=fields.page_size(request.page_size),
    )
    return fields.invalid() if fields.violations else ask


def heartbeat_ms(interval: Duration | None, fields: Fields) -> int:
    """The interval within its bounds, in milliseconds; the default when there is none."""
    if interval is None:
        return DEFAULT_HEARTBEAT_MS
    if interval.seconds < 0 or not 0 <= interval.nanos <= _MAX_NANOS:
        fields.refuse("heartbeat_interval", "must be a duration that is not negative")
        return DEFAULT_HEARTBEAT_MS
    asked_ms = interval.seconds * 1000 + interval.nanos // 1_000_000
    return min(max(asked_ms, MIN_HEARTBEAT_MS), MAX_HEARTBEAT_MS)
