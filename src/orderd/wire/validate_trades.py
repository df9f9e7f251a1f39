"""Requests about trades: open, close, move, rearm, candles, and the lists."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from google.protobuf.message import Message

from oms.v1 import trade_service_pb2 as pb
from orderd.core import keys
from orderd.core.order import OrderType, Side, TimeInForce
from orderd.core.trade import OVER, OnEntryEnd, OnPartial, Signal
from orderd.core.values import Value
from orderd.wire import desk_enums as words
from orderd.wire import enums
from orderd.wire.asks import ACCOUNT_REQUIRED, KEY_REQUIRED, Invalid
from orderd.wire.enums import WaitFor
from orderd.wire.fields import MAX_REASON, Fields
from orderd.wire.symbols import MAX_SYMBOL, is_canonical

ENTRY_TYPES: Final = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP})
MAX_CANDLES: Final = 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OpenAsk(Value, frozen=True, kw_only=True):
    """A well-formed signal. `quantity` None: to be sized. `on_partial` None: what suits the broker."""

    account_id: str
    client_trade_id: str
    decision_id: str
    trace_id: str
    signal: Signal
    quantity: Decimal | None
    on_partial: OnPartial | None
    on_entry_end: OnEntryEnd
    accept_unprotected: bool
    tags: tuple[tuple[str, str], ...]
    wait: WaitFor | None


class CloseAsk(Value, frozen=True, kw_only=True):
    """A trade to close. `quantity` None: all of it."""

    trade_id: str
    quantity: Decimal | None
    reason: str
    request_id: str
    decision_id: str
    wait: WaitFor | None


class MoveAsk(Value, frozen=True, kw_only=True):
    """A new price for a stop."""

    trade_id: str
    stop_price: Decimal
    request_id: str
    reason: str


class RearmAsk(Value, frozen=True, kw_only=True):
    """A trade to protect again. `stop_price` None: where its stop was."""

    trade_id: str
    stop_price: Decimal | None
    reason: str


class PendingAsk(Value, frozen=True, kw_only=True):
    """Which pending entries; empty means all."""

    account_id: str
    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    reason: str = ""


class CandleAsk(PendingAsk, frozen=True, kw_only=True):
    """A candle that has ended, and whose entries it counts for."""

    candle_time: datetime


class TradeName(Value, frozen=True, kw_only=True):
    """How a caller names a trade: exactly one id."""

    trade_id: str
    client_trade_id: str
    account_id: str


class TradeQuery(Value, frozen=True, kw_only=True):
    """Filters of a list of trades, by the names of the journal's filter."""

    account_ids: tuple[str, ...]
    statuses: tuple[str, ...]
    open_only: bool
    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    decision_ids: tuple[str, ...]
    trace_ids: tuple[str, ...]
    trade_ids: tuple[str, ...]
    created_after: datetime | None
    created_before: datetime | None


class TradesAsk(Value, frozen=True, kw_only=True):
    """A page of trades."""

    where: TradeQuery
    page_size: int
    page_token: str


def open_ask(request: pb.OpenTradeRequest, *, account_id: str, prefix: str = "") -> OpenAsk | Invalid:
    """Check a signal whole. `account_id` is the account the caller means; empty when nothing says which."""
    fields = Fields(prefix)
    if not account_id:
        fields.refuse("account_id", "is required: several accounts are configured", ACCOUNT_REQUIRED)
    if not request.HasField("signal"):
        fields.refuse("signal", "is required")
        return fields.invalid()
    signal = _signal(request.signal, fields)
    ask = OpenAsk(
        account_id=account_id,
        client_trade_id=_key(request, fields),
        decision_id=fields.text("decision_id", request.decision_id),
        trace_id=fields.text("trace_id", request.trace_id),
        signal=signal,
        quantity=fields.positive("quantity", request.quantity),
        on_partial=fields.word("on_partial", request.on_partial, words.ON_PARTIAL),
        on_entry_end=fields.word("on_entry_end", request.on_entry_end, words.ON_ENTRY_END) or OnEntryEnd.CLOSE,
        accept_unprotected=request.accept_unprotected,
        tags=fields.tags("tags", request.tags),
        wait=fields.word("wait", request.wait, enums.WAIT),
    )
    if fields.violations:
        return fields.invalid()
    return ask if ask.client_trade_id else _derived(ask)


def _key(request: pb.OpenTradeRequest, fields: Fields) -> str:
    has_source = request.decision_id or (request.signal.strategy and request.signal.HasField("signal_time"))
    if not (request.client_trade_id or has_source):
        rule = "is required when there is neither a decision_id nor a strategy with a signal_time to derive it from"
        fields.refuse("client_trade_id", rule, KEY_REQUIRED)
    return fields.key("client_trade_id", request.client_trade_id)


def _derived(ask: OpenAsk) -> OpenAsk:
    fields = {name: getattr(ask, name) for name in ask.__struct_fields__}
    signal = ask.signal
    fields["client_trade_id"] = keys.open_trade_key(ask.account_id, ask.decision_id, signal)
    return OpenAsk(**fields)


def _signal(message: pb.Signal, fields: Fields) -> Signal:
    if not is_canonical(message.symbol):
        rule = "must be a canonical symbol such as AAPL, BRK.B, BTC/USD or AAPL250117C00150000"
        fields.refuse("signal.symbol", rule if message.symbol else "is required")
    order_type = fields.needed_word("signal.type", message.type, enums.TYPE)
    if order_type is not None and order_type not in ENTRY_TYPES:
        fields.refuse("signal.type", "must be ORDER_TYPE_MARKET, ORDER_TYPE_LIMIT or ORDER_TYPE_STOP")
    side = fields.needed_word("signal.side", message.side, enums.SIDE)
    entry, stop = _prices(message, side, fields)
    if not 0 <= message.max_candles <= MAX_CANDLES:
        fields.refuse("signal.max_candles", f"must be 0 to {MAX_CANDLES}")
    time_in_force = fields.word("signal.time_in_force", message.time_in_force, enums.TIME_IN_FORCE)
    return Signal(
        symbol=message.symbol,
        side=side or Side.BUY,
        entry_price=entry,
        stop_loss_price=stop,
        type=order_type or OrderType.MARKET,
        time_in_force=time_in_force or TimeInForce.DAY,
        strategy=fields.text("signal.strategy", message.strategy),
        signal_time=_time("signal.signal_time", message, "signal_time", fields),
        max_candles=message.max_candles,
        extended_hours=message.extended_hours,
    )


def _prices(message: pb.Signal, side: Side | None, fields: Fields) -> tuple[Decimal, Decimal]:
    """Entry and stop: both there, apart, and the stop where it can stop."""
    found: list[Decimal] = []
    for name in ("entry_price", "stop_loss_price"):
        text: str = getattr(message, name)
        if not text:
            fields.refuse(f"signal.{name}", "is required")
        number = fields.positive(f"signal.{name}", text)
        if number is not None:
            found.append(number)
    if len(found) < len(("entry", "stop")):
        return Decimal(1), Decimal(1)
    entry, stop = found
    if entry == stop:
        fields.refuse("signal.stop_loss_price", "must differ from entry_price: there is no distance to size by")
    elif side is not None and (stop > entry) is (side is Side.BUY):
        where = "below" if side is Side.BUY else "above"
        fields.refuse("signal.stop_loss_price", f"must be {where} entry_price for SIDE_{side}")
    return entry, stop


def _time(field: str, message: Message, name: str, fields: Fields) -> datetime | None:
    return fields.time(field, getattr(message, name) if message.HasField(name) else None)


def close_ask(request: pb.CloseTradeRequest, prefix: str = "") -> CloseAsk | Invalid:
    """Check a request to close. A part needs a key: without one a repeat would close twice."""
    fields = Fields(prefix)
    if request.quantity and not request.request_id:
        fields.refuse("request_id", "is required with a quantity: without it a repeat would close twice")
    ask = CloseAsk(
        trade_id=fields.needed("trade_id", request.trade_id),
        quantity=fields.positive("quantity", request.quantity),
        reason=fields.text("reason", request.reason, MAX_REASON),
        request_id=fields.text("request_id", request.request_id),
        decision_id=fields.text("decision_id", request.decision_id),
        wait=fields.word("wait", request.wait, enums.WAIT),
    )
    return fields.invalid() if fields.violations else ask


def move_ask(request: pb.MoveStopRequest) -> MoveAsk | Invalid:
    """Check a new price of a stop."""
    fields = Fields()
    if not request.stop_price:
        fields.refuse("stop_price", "is required")
    ask = MoveAsk(
        trade_id=fields.needed("trade_id", request.trade_id),
        stop_price=fields.positive("stop_price", request.stop_price) or Decimal(1),
        request_id=fields.text("request_id", request.request_id),
        reason=fields.text("reason", request.reason, MAX_REASON),
    )
    return fields.invalid() if fields.violations else ask


def rearm_ask(request: pb.RearmStopRequest) -> RearmAsk | Invalid:
    """Check a request to protect a trade again."""
    fields = Fields()
    ask = RearmAsk(
        trade_id=fields.needed("trade_id", request.trade_id),
        stop_price=fields.positive("stop_price", request.stop_price),
        reason=fields.text("reason", request.reason, MAX_REASON),
    )
    return fields.invalid() if fields.violations else ask


def candle_ask(request: pb.AdvanceCandleRequest) -> CandleAsk | Invalid:
    """Check a candle: it is named by its time."""
    fields = Fields()
    if not request.HasField("candle_time"):
        fields.refuse("candle_time", "is required: the same candle is counted once")
    ask = CandleAsk(
        account_id=fields.text("account_id", request.account_id),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        strategies=fields.several("strategies", request.strategies),
        candle_time=_time("candle_time", request, "candle_time", fields) or EPOCH,
    )
    return fields.invalid() if fields.violations else ask


def pending_ask(request: pb.CancelPendingEntriesRequest) -> PendingAsk | Invalid:
    """Check which pending entries are meant."""
    fields = Fields()
    ask = PendingAsk(
        account_id=fields.text("account_id", request.account_id),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        strategies=fields.several("strategies", request.strategies),
        reason=fields.text("reason", request.reason, MAX_REASON),
    )
    return fields.invalid() if fields.violations else ask


def get_trade_ask(request: pb.GetTradeRequest) -> TradeName | Invalid:
    """Check which trade is meant."""
    fields = Fields()
    key = request.WhichOneof("key")
    if key is None:
        fields.refuse("trade_id", "is required: one of trade_id and client_trade_id")
    elif not getattr(request, key):
        fields.refuse(key, "must not be empty")
    name = TradeName(
        trade_id=fields.text("trade_id", request.trade_id),
        client_trade_id=fields.key("client_trade_id", request.client_trade_id),
        account_id=fields.text("account_id", request.account_id),
    )
    return fields.invalid() if fields.violations else name


def trades_ask(request: pb.ListTradesRequest) -> TradesAsk | Invalid:
    """Check the filters of a list of trades."""
    fields = Fields()
    states = fields.several_words("states", request.states, words.TRADE_STATE)
    where = TradeQuery(
        account_ids=fields.several("account_ids", request.account_ids),
        statuses=tuple(state.value for state in states if not (request.open_only and state in OVER)),
        open_only=request.open_only,
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        strategies=fields.several("strategies", request.strategies),
        decision_ids=fields.several("decision_ids", request.decision_ids),
        trace_ids=fields.several("trace_ids", request.trace_ids),
        trade_ids=fields.several("trade_ids", request.trade_ids),
        created_after=_time("created_after_time", request, "created_after_time", fields),
        created_before=_time("created_before_time", request, "created_before_time", fields),
    )
    fields.time_range(("created_after_time", where.created_after), ("created_before_time", where.created_before))
    ask = TradesAsk(where=where, page_size=fields.page_size(request.page_size), page_token=request.page_token)
    return fields.invalid() if fields.violations else ask
