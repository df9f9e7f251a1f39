"""StreamDeskEvents: the desk's events, for one subscriber (subscription.py has the rules)."""

from collections.abc import Sequence

from oms.v1 import trade_service_pb2 as pb
from orderd.engine.api import Engine
from orderd.ports import Entry
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid
from orderd.server.subscription import SharedParts, Subscription, check_position
from orderd.wire.asks import DeskStreamAsk, Invalid
from orderd.wire.desk_events import event_type
from orderd.wire.validate_desk_stream import desk_stream_ask


class DeskStreams:
    """StreamDeskEvents: a part of TradeService."""

    def __init__(self, engine: Engine) -> None:
        """All subscribers share the engine's feed and what `SharedParts` keeps."""
        self._engine = engine
        self._shared = SharedParts()

    async def StreamDeskEvents(self, request: pb.StreamDeskEventsRequest, call: Call) -> None:
        """Serve one subscriber until it leaves, falls behind or the server leaves."""
        ask = desk_stream_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.account_ids)
        call.note(trace_id=",".join(ask.trace_ids[:1]))
        check_position(self._engine, ask)
        await Subscription(self._engine, call, ask, wanted=WantedOfDesk(ask), shared=self._shared).run()


class WantedOfDesk:
    """The desk's events, and the filters of one subscriber: AND between fields, OR inside one, empty = all."""

    def __init__(self, ask: DeskStreamAsk) -> None:
        """Keep the fields that say something."""
        fields = {
            "account_id": ask.account_ids,
            "symbol": ask.symbols,
            "strategy": ask.strategies,
            "trace_id": ask.trace_ids,
            "decision_id": ask.decision_ids,
            "trade_id": ask.trade_ids,
        }
        self._fields = [(name, frozenset(values)) for name, values in fields.items() if values]
        self._types = frozenset(ask.types)
        self.everything = not self._fields and not self._types

    def chosen(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """See `Wanted.chosen`."""
        of_desk = [entry for entry in entries if entry.record_kind is not None]
        return of_desk if self.everything else [entry for entry in of_desk if self._has(entry)]

    def _has(self, entry: Entry) -> bool:
        if not all(getattr(entry, name) in values for name, values in self._fields):
            return False
        return not self._types or event_type(entry.data) in self._types
