"""The numbers of the wire's enums and the core's words for them, both ways.

A core word is the wire's name without its prefix, so every table is built from the names; a word that one side lacks
fails at import.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, Generic, TypeVar

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.core.discrepancies import DiscrepancyKind, Effect
from orderd.core.events import EventType
from orderd.core.facts import Verdicts
from orderd.core.order import (
    AssetClass,
    EventSource,
    FillStatus,
    Mode,
    OrderClass,
    OrderRole,
    OrderState,
    OrderType,
    PositionIntent,
    Side,
    TimeInForce,
)

Word = TypeVar("Word", bound=StrEnum)
Number_co = TypeVar("Number_co", bound=int, covariant=True)


class WaitFor(StrEnum):
    """What a submit or a cancel waits for."""

    BROKER = "BROKER"
    JOURNAL = "JOURNAL"


class Words(Generic[Word, Number_co]):
    """One enum: `number` takes a core word to the wire, `word` brings a known number back."""

    def __init__(self, core: type[Word], value: Callable[[str], Number_co], prefix: str) -> None:
        """Pair every word of `core` with the wire's number for the name `prefix` + word."""
        self.number: Final[Mapping[Word, Number_co]] = {word: value(prefix + word.value) for word in core}
        self.word: Final[Mapping[int, Word]] = {int(number): word for word, number in self.number.items()}
        self.names: Final = ", ".join(prefix + word.value for word in core)


STATUS: Final = Words(OrderState, pb.OrderStatus.Value, "ORDER_STATUS_")
SIDE: Final = Words(Side, pb.Side.Value, "SIDE_")
TYPE: Final = Words(OrderType, pb.OrderType.Value, "ORDER_TYPE_")
TIME_IN_FORCE: Final = Words(TimeInForce, pb.TimeInForce.Value, "TIME_IN_FORCE_")
ORDER_CLASS: Final = Words(OrderClass, pb.OrderClass.Value, "ORDER_CLASS_")
POSITION_INTENT: Final = Words(PositionIntent, pb.PositionIntent.Value, "POSITION_INTENT_")
ASSET_CLASS: Final = Words(AssetClass, pb.AssetClass.Value, "ASSET_CLASS_")
ROLE: Final = Words(OrderRole, pb.OrderRole.Value, "ORDER_ROLE_")
MODE: Final = Words(Mode, pb.Mode.Value, "MODE_")
FILL_STATUS: Final = Words(FillStatus, pb.FillStatus.Value, "FILL_STATUS_")
SOURCE: Final = Words(EventSource, pb.EventSource.Value, "EVENT_SOURCE_")
EVENT_TYPE: Final = Words(EventType, pb.OrderEventType.Value, "ORDER_EVENT_TYPE_")
DISCREPANCY_KIND: Final = Words(DiscrepancyKind, broker_pb.DiscrepancyKind.Value, "DISCREPANCY_KIND_")
DISCREPANCY_EFFECT: Final = Words(Effect, broker_pb.DiscrepancyEffect.Value, "DISCREPANCY_EFFECT_")
RESOLUTION: Final = Words(Verdicts, broker_pb.OrderResolution.Value, "ORDER_RESOLUTION_")
WAIT: Final = Words(WaitFor, service_pb.SubmitWait.Value, "SUBMIT_WAIT_")

ORIGIN: Final[Mapping[str, pb.EventSource.ValueType]] = {
    source.value: number for source, number in SOURCE.number.items()
}
"""By a reason's `origin`, which is an `EventSource` value or empty."""
