"""Requests about completed trades: lists of them, and what they come to."""

from oms.v1 import trade_service_pb2 as pb
from orderd.wire.asks import Invalid, PerformanceAsk, ResultQuery, ResultsAsk
from orderd.wire.fields import Fields
from orderd.wire.symbols import MAX_SYMBOL


def results_ask(request: pb.ListCompletedTradesRequest) -> ResultsAsk | Invalid:
    """Check the filters of a list of completed trades."""
    fields = Fields()
    where = ResultQuery(
        account_ids=fields.several("account_ids", request.account_ids),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        strategies=fields.several("strategies", request.strategies),
        trade_ids=fields.several("trade_ids", request.trade_ids),
        decision_ids=fields.several("decision_ids", request.decision_ids),
        trace_ids=fields.several("trace_ids", request.trace_ids),
        closed_after=fields.time(
            "closed_after_time", request.closed_after_time if request.HasField("closed_after_time") else None
        ),
        closed_before=fields.time(
            "closed_before_time", request.closed_before_time if request.HasField("closed_before_time") else None
        ),
    )
    fields.time_range(("closed_after_time", where.closed_after), ("closed_before_time", where.closed_before))
    page_size = fields.page_size(request.page_size)
    return fields.invalid() if fields.violations else ResultsAsk(where=where, page_size=page_size)


def performance_ask(request: pb.GetPerformanceRequest) -> PerformanceAsk | Invalid:
    """Check whose performance is asked for, and since when."""
    fields = Fields()
    ask = PerformanceAsk(
        account_id=fields.text("account_id", request.account_id),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        strategies=fields.several("strategies", request.strategies),
        after=fields.time("after_time", request.after_time if request.HasField("after_time") else None),
        before=fields.time("before_time", request.before_time if request.HasField("before_time") else None),
        has_points=not request.summary_only,
    )
    fields.time_range(("after_time", ask.after), ("before_time", ask.before))
    return fields.invalid() if fields.violations else ask
