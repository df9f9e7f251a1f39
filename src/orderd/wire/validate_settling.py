"""Requests about what differs: lists of discrepancies, and the operator's word on one of them or on an order."""

from typing import Final

from oms.v1 import broker_service_pb2 as pb
from orderd.core.facts import Verdicts
from orderd.core.order import OrderState
from orderd.core.values import ZERO
from orderd.wire import enums
from orderd.wire.asks import DiscrepanciesAsk, DiscrepancyQuery, Invalid, ResolveOrderAsk, SettleAsk
from orderd.wire.fields import MAX_REASON, Fields
from orderd.wire.symbols import MAX_SYMBOL
from orderd.wire.validate_changes import order_name

ENDS: Final = (OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED, OrderState.FILLED)


def discrepancies_ask(request: pb.ListDiscrepanciesRequest) -> DiscrepanciesAsk | Invalid:
    """Check the filters of a list of discrepancies."""
    fields = Fields()
    after = request.opened_after_time if request.HasField("opened_after_time") else None
    before = request.opened_before_time if request.HasField("opened_before_time") else None
    where = DiscrepancyQuery(
        account_ids=fields.several("account_ids", request.account_ids),
        kinds=fields.several_words("kinds", request.kinds, enums.DISCREPANCY_KIND),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        order_ids=fields.several("order_ids", request.order_ids),
        open_only=request.open_only,
        opened_after=fields.time("opened_after_time", after),
        opened_before=fields.time("opened_before_time", before),
    )
    fields.time_range(("opened_after_time", where.opened_after), ("opened_before_time", where.opened_before))
    page_size = fields.page_size(request.page_size)
    return fields.invalid() if fields.violations else DiscrepanciesAsk(where=where, page_size=page_size)


def settle_ask(request: pb.ResolveDiscrepancyRequest) -> SettleAsk | Invalid:
    """Check the closing of a discrepancy: it needs a reason."""
    fields = Fields()
    ask = SettleAsk(
        discrepancy_id=fields.needed("discrepancy_id", request.discrepancy_id),
        reason=fields.needed("reason", request.reason, MAX_REASON),
        operator_name=fields.text("operator_name", request.operator_name),
    )
    return fields.invalid() if fields.violations else ask


def resolve_order_ask(request: pb.ResolveOrderRequest) -> ResolveOrderAsk | Invalid:
    """Check an operator's word about an order by itself; what the record and the broker say is for the engine."""
    fields = Fields()
    verdict = fields.needed_word("resolution", request.resolution, enums.RESOLUTION)
    if request.expected_version < 0:
        fields.refuse("expected_version", "must not be negative")
    ask = ResolveOrderAsk(
        order=order_name(request, fields),
        verdict=verdict or Verdicts.ENDED,
        broker_order_id=fields.text("broker_order_id", request.broker_order_id),
        state=fields.word("status", request.status, enums.STATUS),
        filled_quantity=fields.number("filled_quantity", request.filled_quantity),
        # The net price of a multi-leg order may be a credit.
        average_price=fields.number("average_fill_price", request.average_fill_price),
        execution_id=fields.text("execution_id", request.execution_id),
        expected_version=request.expected_version,
        reason=fields.needed("reason", request.reason, MAX_REASON),
        evidence=fields.needed("evidence", request.evidence, MAX_REASON),
        operator_name=fields.text("operator_name", request.operator_name),
    )
    if ask.filled_quantity is not None and ask.filled_quantity < ZERO:
        fields.refuse("filled_quantity", "must not be negative")
    if verdict is not None:
        _check_parts(request, verdict, ask, fields)
    return fields.invalid() if fields.violations else ask


def _check_parts(request: pb.ResolveOrderRequest, verdict: Verdicts, ask: ResolveOrderAsk, fields: Fields) -> None:
    """Hold each verdict to its own fields: what it needs is there, what belongs to another is not."""
    parts = {
        "broker_order_id": (Verdicts.ADOPT, bool(request.broker_order_id)),
        "status": (Verdicts.ENDED, bool(request.status)),
        "filled_quantity": (Verdicts.ENDED, bool(request.filled_quantity)),
        "average_fill_price": (Verdicts.ENDED, bool(request.average_fill_price)),
        "execution_id": (Verdicts.BUSTED, bool(request.execution_id)),
    }
    for field, (owner, is_given) in parts.items():
        is_optional = field in {"filled_quantity", "average_fill_price"}
        if is_given and owner is not verdict:
            fields.refuse(field, f"must be empty without ORDER_RESOLUTION_{owner}")
        elif owner is verdict and not is_given and not is_optional:
            fields.refuse(field, f"is required with ORDER_RESOLUTION_{owner}")
    if ask.state is not None and ask.state not in ENDS:
        fields.refuse("status", f"must be one of {', '.join(f'ORDER_STATUS_{state}' for state in ENDS)}")
    if ask.average_price is not None and ask.filled_quantity is None:
        fields.refuse("average_fill_price", "must be empty without filled_quantity")
