"""BrokerService, the calls about what differs: discrepancies and the operator's word on orders."""

from oms.v1 import broker_service_pb2 as pb
from orderd.engine.errors import EngineError, Kind
from orderd.server.call import Call


class DiscrepancyCalls:
    """ListDiscrepancies, ResolveDiscrepancy, ResolveOrder."""

    async def ListDiscrepancies(self, request: pb.ListDiscrepanciesRequest, call: Call) -> bytes:
        """One page of discrepancies, newest first."""
        raise _not_served(call)

    async def ResolveDiscrepancy(self, request: pb.ResolveDiscrepancyRequest, call: Call) -> bytes:
        """Close a discrepancy with an operator's reason."""
        raise _not_served(call)

    async def ResolveOrder(self, request: pb.ResolveOrderRequest, call: Call) -> bytes:
        """Record an operator's word about an order."""
        raise _not_served(call)


def _not_served(call: Call) -> EngineError:
    return EngineError(Kind.FAILED_PRECONDITION, "RESOLUTION_NOT_ALLOWED", f"{call.method} is not served by this build")
