"""The numbers of the desk's enums and the core's words for them, both ways."""

from typing import Final

from oms.v1 import trade_service_pb2 as pb
from orderd.core.trade import ExitReason, OnEntryEnd, OnPartial, Protection, TradeState
from orderd.core.trade_life import TradeEvent
from orderd.wire.enums import Words

TRADE_STATE: Final = Words(TradeState, pb.TradeState.Value, "TRADE_STATE_")
PROTECTION: Final = Words(Protection, pb.Protection.Value, "PROTECTION_")
ON_PARTIAL: Final = Words(OnPartial, pb.OnPartial.Value, "ON_PARTIAL_")
ON_ENTRY_END: Final = Words(OnEntryEnd, pb.OnEntryEnd.Value, "ON_ENTRY_END_")
EXIT_REASON: Final = Words(ExitReason, pb.ExitReason.Value, "EXIT_REASON_")
TRADE_EVENT: Final = Words(TradeEvent, pb.DeskEventType.Value, "DESK_EVENT_TYPE_")
