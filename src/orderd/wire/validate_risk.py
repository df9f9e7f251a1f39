"""Requests about risk: trading states, the circuit breaker, sizes, the kill switch."""

from decimal import Decimal

from oms.v1 import risk_service_pb2 as pb
from orderd.core.order import Side
from orderd.core.values import ZERO, Value
from orderd.risk.limits import TradingState
from orderd.wire import enums
from orderd.wire.asks import Invalid
from orderd.wire.fields import MAX_REASON, Fields
from orderd.wire.risk import TRADING_STATE
from orderd.wire.symbols import is_canonical


class StateAsk(Value, frozen=True, kw_only=True):
    """A trading state to set."""

    account_id: str
    state: TradingState
    reason: str
    freeze_protection: bool
    operator_name: str


class ResetAsk(Value, frozen=True, kw_only=True):
    """A breaker to reset."""

    account_id: str
    reason: str
    operator_name: str


class SizeAsk(Value, frozen=True, kw_only=True):
    """An entry and its stop. `equity` None: the broker's. Whether the stop is on its side is the sizer's to say."""

    account_id: str
    symbol: str
    side: Side
    entry_price: Decimal
    stop_loss_price: Decimal
    equity: Decimal | None


class FlattenAsk(ResetAsk, frozen=True, kw_only=True):
    """An account to flatten."""

    close_positions: bool


def state_ask(request: pb.SetTradingStateRequest) -> StateAsk | Invalid:
    """Check a trading state: it needs a reason; only a halted account can be frozen."""
    fields = Fields()
    state = fields.needed_word("trading_state", request.trading_state, TRADING_STATE)
    if request.freeze_protection and state is not None and state is not TradingState.HALTED:
        fields.refuse("freeze_protection", "goes with TRADING_STATE_HALTED only")
    ask = StateAsk(
        account_id=fields.text("account_id", request.account_id),
        state=state or TradingState.HALTED,
        reason=fields.needed("reason", request.reason, MAX_REASON),
        freeze_protection=request.freeze_protection,
        operator_name=fields.text("operator_name", request.operator_name),
    )
    return fields.invalid() if fields.violations else ask


def reset_ask(request: pb.ResetCircuitBreakerRequest) -> ResetAsk | Invalid:
    """Check the reset of a breaker: it needs a reason."""
    fields = Fields()
    ask = ResetAsk(
        account_id=fields.text("account_id", request.account_id),
        reason=fields.needed("reason", request.reason, MAX_REASON),
        operator_name=fields.text("operator_name", request.operator_name),
    )
    return fields.invalid() if fields.violations else ask


def flatten_ask(request: pb.FlattenAccountRequest) -> FlattenAsk | Invalid:
    """Check a use of the kill switch: it needs a reason."""
    fields = Fields()
    ask = FlattenAsk(
        account_id=fields.text("account_id", request.account_id),
        reason=fields.needed("reason", request.reason, MAX_REASON),
        operator_name=fields.text("operator_name", request.operator_name),
        close_positions=request.close_positions,
    )
    return fields.invalid() if fields.violations else ask


def size_ask(request: pb.SizePositionRequest) -> SizeAsk | Invalid:
    """Check an entry and its stop, each by itself."""
    fields = Fields()
    if not is_canonical(request.symbol):
        rule = "must be a canonical symbol such as AAPL, BRK.B, BTC/USD or AAPL250117C00150000"
        fields.refuse("symbol", rule if request.symbol else "is required")
    ask = SizeAsk(
        account_id=fields.text("account_id", request.account_id),
        symbol=request.symbol,
        side=fields.needed_word("side", request.side, enums.SIDE) or Side.BUY,
        entry_price=_price(fields, "entry_price", request.entry_price),
        stop_loss_price=_price(fields, "stop_loss_price", request.stop_loss_price),
        equity=fields.positive("equity", request.equity),
    )
    return fields.invalid() if fields.violations else ask


def _price(fields: Fields, name: str, given: str) -> Decimal:
    if not given:
        fields.refuse(name, "is required")
    return fields.positive(name, given) or ZERO
