"""Requests about decisions: what was decided and what is to be sent for it, a person's word, and the lists.

An intent is checked as the request it stands for, with the decision's account, id, trace id and strategy in it.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from oms.v1 import decision_service_pb2 as pb
from oms.v1 import order_service_pb2 as orders_pb
from oms.v1 import trade_service_pb2 as trades_pb
from orderd.core import keys
from orderd.core.decisions import Decided, DecisionKind, DecisionStatus, Intent, SendClose, SendOpen, SendOrder
from orderd.core.order import EventSource, Side
from orderd.core.values import AccountId, Reason, Value
from orderd.wire import decisions as words
from orderd.wire import enums
from orderd.wire.asks import ACCOUNT_REQUIRED, Invalid
from orderd.wire.fields import MAX_ID, MAX_REASON, Fields
from orderd.wire.symbols import MAX_SYMBOL, is_canonical
from orderd.wire.validate_order import submit_ask
from orderd.wire.validate_trades import close_ask, open_ask

MAX_RATIONALE_BYTES: Final = 8 * 1024
_SPACES: Final = str.maketrans("", "", "\n\t")
_ONE: Final = Decimal(1)


class DecisionName(Value, frozen=True, kw_only=True):
    """How a caller names a decision; `account_id` perhaps empty."""

    decision_id: str
    account_id: str


class WordAsk(Value, frozen=True, kw_only=True):
    """A person's word about a decision. `reference_price` only with a yes."""

    name: DecisionName
    word: Reason
    reference_price: Decimal | None = None


class DecisionQuery(Value, frozen=True, kw_only=True):
    """Filters of a list of decisions: those of the journal by its names, and the two that make up its status word."""

    statuses: tuple[DecisionStatus, ...]
    kinds: tuple[DecisionKind, ...]
    account_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    trace_ids: tuple[str, ...]
    decision_ids: tuple[str, ...]
    trade_ids: tuple[str, ...]
    created_after: datetime | None
    created_before: datetime | None


class DecisionsAsk(Value, frozen=True, kw_only=True):
    """A page of decisions."""

    where: DecisionQuery
    page_size: int


# -------------------------------------------------------------------------------------------------------------- record


def record_ask(request: pb.RecordDecisionRequest, *, account_id: str) -> Decided | Invalid:
    """Check a decision whole. `account_id` is the account the caller means; empty when nothing says which."""
    fields = Fields()
    if not account_id:
        fields.refuse("account_id", "is required: several accounts are configured", ACCOUNT_REQUIRED)
    if not request.decision_id:
        fields.refuse("decision_id", "is required")
    kind = fields.needed_word("kind", request.kind, words.KIND)
    sent = _filled_in(request, account_id, fields) if request.HasField("intent") else None
    intent = None if sent is None else _intent(sent, account_id, fields)
    if request.execute and sent is None:
        fields.refuse("execute", "needs an intent: there is nothing that could be sent")
    said = Decided(
        decision_id=fields.key("decision_id", request.decision_id),
        account_id=AccountId(account_id),
        kind=kind or DecisionKind.ENTRY,
        symbol=request.symbol,
        side=fields.word("side", request.side, enums.SIDE),
        trace_id=fields.text("trace_id", request.trace_id),
        strategy=fields.text("strategy", request.strategy),
        confidence=_confidence(request.confidence, fields),
        signals=fields.tags("signals", request.signals),
        model=fields.text("model", request.model),
        provider=fields.text("provider", request.provider),
        rationale=_rationale(request.rationale, fields),
        decided_time=fields.time("decided_time", request.decided_time if request.HasField("decided_time") else None),
        expires_time=fields.time("expires_time", request.expires_time if request.HasField("expires_time") else None),
        linked_trade_id=fields.text("linked_trade_id", request.linked_trade_id),
        intent=intent,
        sent=b"" if sent is None else sent.SerializeToString(deterministic=True),
        execute=request.execute,
    )
    fields.time_range(("decided_time", said.decided_time), ("expires_time", said.expires_time))
    if kind is not None:
        _check_kind(said, fields)
    said = _with_the_intents(said, fields)
    return fields.invalid() if fields.violations else said


def _confidence(text: str, fields: Fields) -> Decimal | None:
    number = fields.number("confidence", text)
    if number is not None and not 0 <= number <= _ONE:
        fields.refuse("confidence", "must be 0 to 1")
        return None
    return number


def _rationale(text: str, fields: Fields) -> str:
    """Words of any number of lines."""
    if len(text.encode(errors="replace")) > MAX_RATIONALE_BYTES:
        fields.refuse("rationale", f"must have at most {MAX_RATIONALE_BYTES} bytes")
    if not text.translate(_SPACES).isprintable():
        fields.refuse("rationale", "must have printable characters, line breaks and tabs only")
    return text


def _check_kind(said: Decided, fields: Fields) -> None:
    is_exit = said.kind is DecisionKind.EXIT
    if said.linked_trade_id and not is_exit:
        fields.refuse("linked_trade_id", "must be empty for DECISION_KIND_ENTRY: only an exit closes a trade")
    if isinstance(said.intent, SendClose) and not is_exit:
        fields.refuse("kind", "must be DECISION_KIND_EXIT for an intent to close a trade")
    if isinstance(said.intent, SendOpen) and is_exit:
        fields.refuse("kind", "must be DECISION_KIND_ENTRY for an intent to open a trade")


def _with_the_intents(said: Decided, fields: Fields) -> Decided:
    """The symbol, side, trade and price that the intent has; where the caller says them, too, they agree."""
    match said.intent:
        case SendOrder(order=order):
            terms = order.terms
            price = next(
                (p for p in (terms.limit_price, terms.stop_price, order.reference_price) if p is not None), None
            )
            return _agreed(said, fields, symbol=order.symbol, side=order.side, price=price)
        case SendOpen(signal=signal):
            return _agreed(said, fields, symbol=signal.symbol, side=signal.side, price=signal.entry_price)
        case SendClose(trade_id=trade_id):
            if said.linked_trade_id not in {"", trade_id}:
                fields.refuse("linked_trade_id", "must be empty or the trade that the intent closes")
            said = msgspec.structs.replace(said, linked_trade_id=trade_id)
        case None:
            pass
    if said.symbol and not is_canonical(said.symbol):
        fields.refuse("symbol", "must be a canonical symbol such as AAPL, BRK.B, BTC/USD or AAPL250117C00150000")
    if not said.linked_trade_id and said.intent is None and not fields.violations:
        _need_both(said, fields)
    return said


def _need_both(said: Decided, fields: Fields) -> None:
    if not said.symbol:
        fields.refuse("symbol", "is required, except with an intent or a linked trade that has it")
    if said.side is None:
        fields.refuse("side", "is required, except with an intent or a linked trade that has it")


def _agreed(said: Decided, fields: Fields, *, symbol: str, side: Side | None, price: Decimal | None) -> Decided:
    if said.symbol not in {"", symbol}:
        fields.refuse("symbol", "must be empty or that of the intent")
    if said.side not in {None, side}:
        fields.refuse("side", "must be unspecified or that of the intent")
    return msgspec.structs.replace(said, symbol=symbol, side=side, price=price)


# -------------------------------------------------------------------------------------------------------------- intent


def _filled_in(request: pb.RecordDecisionRequest, account_id: str, fields: Fields) -> pb.DecisionIntent | None:
    """The intent with what it takes from its decision; what it says of that itself must be the same."""
    intent = pb.DecisionIntent()
    intent.CopyFrom(request.intent)
    match intent.WhichOneof("request"):
        case "submit_order":
            order = intent.submit_order
            _take(order, "intent.submit_order", request, account_id, fields)
            if not order.HasField("decided_time") and request.HasField("decided_time"):
                order.decided_time.CopyFrom(request.decided_time)
        case "open_trade":
            _take(intent.open_trade, "intent.open_trade", request, account_id, fields)
        case "close_trade":
            closing = intent.close_trade
            if closing.decision_id not in {"", request.decision_id}:
                fields.refuse("intent.close_trade.decision_id", "must be empty or that of the decision")
            closing.decision_id = request.decision_id
            closing.request_id = closing.request_id or keys.close_key(account_id, request.decision_id)
        case None:
            fields.refuse("intent.request", "is required: one of submit_order, open_trade and close_trade")
            return None
    return intent


def _take(
    sent: orders_pb.SubmitOrderRequest | trades_pb.OpenTradeRequest,
    path: str,
    request: pb.RecordDecisionRequest,
    account_id: str,
    fields: Fields,
) -> None:
    given = {"account_id": account_id, "decision_id": request.decision_id, "trace_id": request.trace_id}
    for name, text in given.items():
        if getattr(sent, name) not in {"", text}:
            fields.refuse(f"{path}.{name}", "must be empty or that of the decision")
        setattr(sent, name, text)
    named, strategy = (
        (sent.signal, "signal.strategy") if isinstance(sent, trades_pb.OpenTradeRequest) else (sent, "strategy")
    )
    if named.strategy not in {"", request.strategy}:
        fields.refuse(f"{path}.{strategy}", "must be empty or that of the decision")
    named.strategy = request.strategy


def _intent(sent: pb.DecisionIntent, account_id: str, fields: Fields) -> Intent | None:
    """The checked intent. Without an account everything else is still checked."""
    account = account_id or "-"
    match sent.WhichOneof("request"):
        case "submit_order":
            order = submit_ask(sent.submit_order, account_id=account, prefix="intent.submit_order.")
            if not isinstance(order, Invalid):
                return SendOrder(order=order.intent)
            fields.also(order)
        case "open_trade":
            opening = open_ask(sent.open_trade, account_id=account, prefix="intent.open_trade.")
            if not isinstance(opening, Invalid):
                return SendOpen(
                    client_trade_id=opening.client_trade_id,
                    signal=opening.signal,
                    quantity=opening.quantity,
                    on_partial=opening.on_partial,
                    on_entry_end=opening.on_entry_end,
                    accept_unprotected=opening.accept_unprotected,
                    tags=opening.tags,
                )
            fields.also(opening)
        case _:
            closing = close_ask(sent.close_trade, prefix="intent.close_trade.")
            if not isinstance(closing, Invalid):
                return SendClose(
                    trade_id=closing.trade_id,
                    request_id=closing.request_id,
                    quantity=closing.quantity,
                    text=closing.reason,
                )
            fields.also(closing)
    return None


# ------------------------------------------------------------------------------------------------------ a person's word


def approve_ask(request: pb.ApproveDecisionRequest) -> WordAsk | Invalid:
    """Check a person's yes."""
    fields = Fields()
    ask = WordAsk(
        name=_name(request, fields),
        word=Reason(
            code="APPROVED",
            message=fields.text("reason", request.reason, MAX_REASON),
            origin=EventSource.OPERATOR,
            operator_name=fields.text("operator_name", request.operator_name, MAX_ID),
        ),
        reference_price=fields.positive("reference_price", request.reference_price),
    )
    return fields.invalid() if fields.violations else ask


def reject_ask(request: pb.RejectDecisionRequest) -> WordAsk | Invalid:
    """Check a person's no."""
    fields = Fields()
    ask = WordAsk(
        name=_name(request, fields),
        word=Reason(
            code="REJECTED",
            message=fields.needed("reason", request.reason, MAX_REASON),
            origin=EventSource.OPERATOR,
            operator_name=fields.text("operator_name", request.operator_name, MAX_ID),
        ),
    )
    return fields.invalid() if fields.violations else ask


def get_decision_ask(request: pb.GetDecisionRequest) -> DecisionName | Invalid:
    """Check which decision is meant."""
    fields = Fields()
    name = _name(request, fields)
    return fields.invalid() if fields.violations else name


def _name(
    request: pb.GetDecisionRequest | pb.ApproveDecisionRequest | pb.RejectDecisionRequest, fields: Fields
) -> DecisionName:
    if not request.decision_id:
        fields.refuse("decision_id", "is required")
    return DecisionName(
        decision_id=fields.key("decision_id", request.decision_id),
        account_id=fields.text("account_id", request.account_id),
    )


# --------------------------------------------------------------------------------------------------------------- lists


def decisions_ask(request: pb.ListDecisionsRequest) -> DecisionsAsk | Invalid:
    """Check the filters of a list of decisions."""
    fields = Fields()
    where = DecisionQuery(
        statuses=fields.several_words("statuses", request.statuses, words.STATUS),
        kinds=fields.several_words("kinds", request.kinds, words.KIND),
        account_ids=fields.several("account_ids", request.account_ids),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        strategies=fields.several("strategies", request.strategies),
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
    ask = DecisionsAsk(where=where, page_size=fields.page_size(request.page_size))
    return fields.invalid() if fields.violations else ask
