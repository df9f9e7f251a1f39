"""Requests to follow the desk's events."""

from typing import Final

from oms.v1 import trade_service_pb2 as pb
from orderd.wire.asks import DeskStreamAsk, Invalid
from orderd.wire.fields import Fields
from orderd.wire.symbols import MAX_SYMBOL
from orderd.wire.validate_queries import heartbeat_ms

_KNOWN: Final = frozenset(pb.DeskEventType.values()) - {pb.DESK_EVENT_TYPE_UNSPECIFIED}


def desk_stream_ask(request: pb.StreamDeskEventsRequest) -> DeskStreamAsk | Invalid:
    """Check a subscription by itself; what the journal can serve is the server's to say."""
    fields = Fields()
    after_sequence = request.after_sequence if request.HasField("after_sequence") else None
    if after_sequence is not None and after_sequence < 0:
        fields.refuse("after_sequence", "must not be negative")
    for index, number in enumerate(request.types):
        if number not in _KNOWN:
            fields.refuse(f"types[{index}]", "must be a known DeskEventType, and not unspecified")
    interval = request.heartbeat_interval if request.HasField("heartbeat_interval") else None
    ask = DeskStreamAsk(
        account_ids=fields.several("account_ids", request.account_ids),
        types=tuple(dict.fromkeys(request.types)),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        strategies=fields.several("strategies", request.strategies),
        trace_ids=fields.several("trace_ids", request.trace_ids),
        decision_ids=fields.several("decision_ids", request.decision_ids),
        trade_ids=fields.several("trade_ids", request.trade_ids),
        after_sequence=after_sequence,
        journal_id=fields.text("journal_id", request.journal_id),
        heartbeat_ms=heartbeat_ms(interval, fields),
    )
    return fields.invalid() if fields.violations else ask
