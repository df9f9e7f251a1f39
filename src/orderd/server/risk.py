"""RiskService: how an account stands, its trading state, its breaker, a size, the kill switch. Check, desk, bytes."""

from typing import Final

from oms.v1 import order_pb2
from oms.v1 import risk_service_pb2 as pb
from orderd.core.order import Order, OrderType
from orderd.core.trade import Signal
from orderd.core.values import canonical
from orderd.desk.flatten import Closed, Proof
from orderd.desk.risk import RiskDesk, Standing
from orderd.engine.api import Engine
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid
from orderd.wire import enums
from orderd.wire.asks import Invalid
from orderd.wire.messages import text_of
from orderd.wire.risk import limit_messages, sizing_message, status_message
from orderd.wire.validate_risk import flatten_ask, reset_ask, size_ask, state_ask

FLATTEN_WAIT_S: Final = 60.0
"""The longest that the kill switch's answer waits for its proof. Seconds; its work goes on."""


class RiskCalls:
    """GetRiskStatus, SetTradingState, ResetCircuitBreaker, SizePosition, FlattenAccount."""

    def __init__(self, engine: Engine, desk: RiskDesk) -> None:
        """Everything is asked of the desk."""
        self._engine = engine
        self._desk = desk

    async def GetRiskStatus(self, request: pb.GetRiskStatusRequest, call: Call) -> bytes:
        """How an account stands."""
        account_id = naming.account(self._engine, request.account_id)
        call.note(account_id=account_id)
        return pb.GetRiskStatusResponse(status=told(await self._desk.status(account_id))).SerializeToString()

    async def SetTradingState(self, request: pb.SetTradingStateRequest, call: Call) -> bytes:
        """Set what an account may send."""
        ask = state_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        standing = await self._desk.set_trading_state(
            account_id,
            ask.state,
            reason=ask.reason,
            operator_name=ask.operator_name,
            freeze_protection=ask.freeze_protection,
        )
        return pb.SetTradingStateResponse(status=told(standing)).SerializeToString()

    async def ResetCircuitBreaker(self, request: pb.ResetCircuitBreakerRequest, call: Call) -> bytes:
        """Let entries pass again."""
        ask = reset_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        standing = await self._desk.reset_breaker(account_id, reason=ask.reason, operator_name=ask.operator_name)
        return pb.ResetCircuitBreakerResponse(status=told(standing)).SerializeToString()

    async def SizePosition(self, request: pb.SizePositionRequest, call: Call) -> bytes:
        """Compute a quantity. A size of nothing is an answer, with its reason."""
        ask = size_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        signal = Signal(
            symbol=ask.symbol,
            side=ask.side,
            entry_price=ask.entry_price,
            stop_loss_price=ask.stop_loss_price,
            type=OrderType.LIMIT,
        )
        sizing = await self._desk.size(account_id, signal, equity=ask.equity)
        return pb.SizePositionResponse(sizing=sizing_message(sizing)).SerializeToString()

    async def FlattenAccount(self, request: pb.FlattenAccountRequest, call: Call) -> bytes:
        """Halt, cancel, optionally close, and prove what is left."""
        ask = flatten_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        proof = await self._desk.flatten(
            account_id,
            reason=ask.reason,
            operator_name=ask.operator_name,
            close_positions=ask.close_positions,
            timeout_s=call.patience_s(FLATTEN_WAIT_S),
        )
        return _proven(proof, await self._desk.status(account_id)).SerializeToString()


def told(standing: Standing) -> pb.RiskStatus:
    """How an account stands, as the wire shows it."""
    message = status_message(standing.account_id, standing.state, standing.limits, day_end=standing.day_end)
    message.limits.extend(limit_messages(standing.limits, dict(standing.used)))
    message.open_positions = standing.open_positions
    message.open_orders = standing.open_orders
    message.unprotected_quantity = canonical(standing.unprotected_quantity)
    message.blocked_symbols.extend(standing.blocked_symbols)
    message.sequence = standing.sequence
    return message


def _proven(proof: Proof, standing: Standing) -> pb.FlattenAccountResponse:
    return pb.FlattenAccountResponse(
        is_flat=proof.is_flat,
        canceled_orders=[_order(order) for order in proof.canceled],
        live_orders=[_order(order) for order in proof.live],
        positions=[_position(position) for position in proof.positions],
        status=told(standing),
        unproven_reason=proof.unproven,
    )


def _order(order: Order) -> pb.FlattenedOrder:
    return pb.FlattenedOrder(
        order_id=order.order_id,
        broker_order_id=order.broker_order_id or "",
        symbol=order.intent.symbol,
        status=enums.STATUS.number.get(order.state, order_pb2.ORDER_STATUS_UNSPECIFIED),
    )


def _position(position: Closed) -> pb.FlattenedPosition:
    return pb.FlattenedPosition(
        symbol=position.symbol,
        quantity_before=canonical(position.before),
        quantity_after=text_of(position.after),
        exit_order_id=position.exit_order_id,
        message=position.message,
    )
