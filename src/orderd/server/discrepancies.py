"""BrokerService, the calls about what differs: discrepancies, and the operator's word on them and on orders."""

import msgspec

from oms.v1 import broker_service_pb2 as pb
from oms.v1 import order_pb2
from orderd.engine.api import Engine, ResolveAsk
from orderd.ports import DiscrepancyFilter
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid
from orderd.server.pages import Place, fitting
from orderd.wire.asks import Invalid
from orderd.wire.desk_events import discrepancy_message
from orderd.wire.messages import complete_order_bytes
from orderd.wire.validate_settling import discrepancies_ask, resolve_order_ask, settle_ask


class DiscrepancyCalls:
    """ListDiscrepancies, ResolveDiscrepancy, ResolveOrder."""

    def __init__(self, engine: Engine) -> None:
        """Lists are read from the journal; an operator's word goes to the engine."""
        self._engine = engine

    async def ListDiscrepancies(self, request: pb.ListDiscrepanciesRequest, call: Call) -> bytes:
        """One page of discrepancies, newest first."""
        ask = discrepancies_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.where.account_ids)
        journal = self._engine.journal
        place = Place(request, journal.journal_id)
        where = DiscrepancyFilter(**msgspec.structs.asdict(ask.where))
        page = await journal.list_discrepancies(where, after_key=place.after_key, limit=ask.page_size)
        answer = pb.ListDiscrepanciesResponse(sequence=place.sequence(page.sequence))
        records = fitting(map(discrepancy_message, page.records), pb.Discrepancy.ByteSize)
        answer.discrepancies.extend(records)
        if page.has_more or len(records) < len(page.records):
            answer.next_page_token = place.token_after(page.keys[len(records) - 1], answer.sequence)
        return answer.SerializeToString()

    async def ResolveDiscrepancy(self, request: pb.ResolveDiscrepancyRequest, call: Call) -> bytes:
        """Close a discrepancy with an operator's reason, once nothing says that it stands."""
        ask = settle_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        record = await self._engine.resolve_discrepancy(
            ask.discrepancy_id, reason=ask.reason, operator_name=ask.operator_name
        )
        call.note(account_id=record.account_id, order_id=record.order_id)
        return pb.ResolveDiscrepancyResponse(discrepancy=discrepancy_message(record)).SerializeToString()

    async def ResolveOrder(self, request: pb.ResolveOrderRequest, call: Call) -> bytes:
        """Record an operator's word about an order."""
        ask = resolve_order_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        ref = naming.order_ref(self._engine, ask.order)
        call.note(order_id=ref.order_id)
        said = msgspec.structs.asdict(ask)
        del said["order"]
        order = await self._engine.resolve_order(ref, ResolveAsk(**said))
        message = order_pb2.Order.FromString(complete_order_bytes(order))
        return pb.ResolveOrderResponse(order=message).SerializeToString()
