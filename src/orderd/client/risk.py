"""Risk: how an account stands, what it may send, a size, the kill switch.

Repeated after UNAVAILABLE or DEADLINE_EXCEEDED: reads, and a trading state, which a second call only sets again. Never
repeated: ResetCircuitBreaker, which could forgive what was lost in between, and FlattenAccount, whose answer is a proof
of its own moment.
"""

import grpc

from oms.v1 import risk_service_pb2 as risk_pb
from oms.v1.risk_service_pb2_grpc import RiskServiceStub
from orderd.client.calls import Calls

FLATTEN_TIMEOUT_S = 90.0


class RiskCalls(Calls):
    """Calls about risk."""

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout_s: float = 10,
        retry_for_s: float = 30,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """See `Client`."""
        super().__init__(address, timeout_s=timeout_s, retry_for_s=retry_for_s, credentials=credentials)
        self._risk = RiskServiceStub(self._channel)

    async def risk_status(self, account_id: str = "") -> risk_pb.RiskStatus:
        """How an account stands against its limits, its trading state and its breaker."""
        request = risk_pb.GetRiskStatusRequest(account_id=account_id)
        return (await self._call(self._risk.GetRiskStatus, request, is_repeatable=True)).status

    async def set_trading_state(self, request: risk_pb.SetTradingStateRequest) -> risk_pb.RiskStatus:
        """Set what an account may send."""
        return (await self._call(self._risk.SetTradingState, request, is_repeatable=True)).status

    async def reset_circuit_breaker(self, request: risk_pb.ResetCircuitBreakerRequest) -> risk_pb.RiskStatus:
        """Let entries pass before the breaker's day is over. Sent once."""
        return (await self._call(self._risk.ResetCircuitBreaker, request, is_repeatable=False)).status

    async def size_position(self, request: risk_pb.SizePositionRequest) -> risk_pb.Sizing:
        """The quantity for an entry and its stop; zero comes with its reason."""
        return (await self._call(self._risk.SizePosition, request, is_repeatable=True)).sizing

    async def flatten(
        self, request: risk_pb.FlattenAccountRequest, *, timeout_s: float = FLATTEN_TIMEOUT_S
    ) -> risk_pb.FlattenAccountResponse:
        """The kill switch, with its proof. Sent once; the server goes on when this side gives up."""
        return await self._call(self._risk.FlattenAccount, request, is_repeatable=False, timeout_s=timeout_s)
