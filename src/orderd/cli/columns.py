"""What of a message stands in which column: all of it in CSV, the part that fits a screen in tables.

The columns of a type are the same for every answer, whatever it holds: they come from the message's descriptor.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

WHOLE: Final = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})
"""Messages that are one value in JSON."""

TABLES: Final[Mapping[str, Sequence[str]]] = {
    "oms.v1.Order": (
        "orderId", "createdTime", "accountId", "symbol", "side", "quantity", "notional", "type", "limitPrice",
        "stopPrice", "status", "statusReason.code", "filledQuantity", "averageFillPrice", "strategy",
    ),
    "oms.v1.OrderEvent": (
        "sequence", "recordedTime", "orderId", "order.symbol", "order.side", "type", "toStatus", "source",
        "fill.quantity", "fill.price", "order.filledQuantity", "reason.code",
    ),
    "oms.v1.Fill": (
        "recordedTime", "orderId", "symbol", "side", "quantity", "price", "fee", "status", "executionId", "strategy",
    ),
    "oms.v1.Account": (
        "accountId", "broker", "mode", "currency", "equity", "buyingPower", "tradingState", "halted", "streamHealth",
        "reconciledTime", "openOrderCount", "unknownOrderCount", "openDiscrepancyCount",
    ),
    "oms.v1.BrokerOrderEntry": (
        "orphanSide", "agrees", "brokerOrder.brokerOrderId", "brokerOrder.symbol", "brokerOrder.side",
        "brokerOrder.quantity", "brokerOrder.filledQuantity", "brokerOrder.brokerStatus", "order.orderId",
        "order.status",
    ),
    "oms.v1.Discrepancy": (
        "discrepancyId", "openedTime", "accountId", "kind", "effect", "symbol", "orderId", "expected", "observed",
        "resolvedTime", "resolvedBy", "resolution",
    ),
    "oms.v1.Trade": (
        "tradeId", "createdTime", "accountId", "signal.symbol", "signal.side", "entryQuantity", "state", "protection",
        "openQuantity", "protectedQuantity", "stopPrice", "averageEntryPrice", "averageExitPrice", "realizedPnl",
        "exitReason", "statusReason.code", "signal.strategy",
    ),
    "oms.v1.DecisionEntry": (
        "decision.decisionId", "decision.createdTime", "decision.accountId", "decision.kind", "decision.symbol",
        "decision.side", "decision.status", "orderStatus", "orderId", "brokerOrderId", "tradeState", "lifecycle",
        "decision.strategy",
    ),
    "oms.v1.DeskEvent": (
        "sequence", "recordedTime", "type", "symbol", "strategy", "tradeId", "decisionId", "orderId", "source",
        "reason.code", "trade.state", "trade.protection", "trade.openQuantity", "trade.stopPrice",
    ),
    "oms.v1.RiskStatus": (
        "accountId", "tradingState", "freezeProtection", "breaker.isTripped", "breaker.cause", "breaker.realizedPnl",
        "breaker.dailyLossLimit", "breaker.lossesInARow", "openPositions", "openOrders", "unprotectedQuantity",
        "reason.message",
    ),
    "oms.v1.Sizing": (
        "quantity", "code", "message", "equity", "riskAmount", "riskPerUnit", "boundBy", "notional",
    ),
    "oms.v1.CompletedTrade": (
        "exitTime", "accountId", "strategy", "symbol", "side", "quantity", "entryPrice", "exitPrice", "fees", "pnl",
        "pnlPct", "duration", "exitReason", "isRestated",
    ),
    "oms.v1.Position": (
        "accountId", "symbol", "brokerQuantity", "fillQuantity", "averagePrice", "brokerAverageEntryPrice",
        "marketValue", "unrealizedPnl", "availableQuantity", "openedTime", "closedTime", "discrepancyId",
    ),
    "oms.v1.PerformanceSummary": (
        "strategy", "tradeCount", "winRate", "totalPnl", "totalFees", "profitFactor", "expectancy", "averageWin",
        "averageLoss", "largestWin", "largestLoss", "maxDrawdown", "maxDrawdownPct", "unvaluedCount",
    ),
    "oms.v1.ReconcileResponse": (
        "stage", "accountId", "brokerOrderCount", "localOrderCount", "bookedFillCount", "changedOrderCount",
        "importedOrderCount", "openedDiscrepancyCount", "message",
    ),
}  # fmt: skip
"""The columns of a table by type; a type that is not here is shown whole."""

WIDTHS: Final[Mapping[str, int]] = {
    "sequence": 10, "recordedTime": 27, "orderId": 36, "tradeId": 36, "order.symbol": 8, "order.side": 4,
    "type": 24, "toStatus": 16, "source": 13, "fill.quantity": 13, "fill.price": 10,
    "order.filledQuantity": 20,
}  # fmt: skip
"""Widths of a streamed table, whose later rows nobody knows yet. Others are as wide as their header."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One value of a message: its path in protojson, and the prefix that its enum repeats."""

    path: tuple[str, ...]
    enum_prefix: str = ""

    @property
    def name(self) -> str:
        """`order.side`."""
        return ".".join(self.path)

    def cell(self, data: Mapping[str, Any]) -> str:
        """The value as text: empty when it is absent, lists with `;`, anything deeper as JSON."""
        value: Any = data
        for part in self.path:
            value = cast("Mapping[str, Any]", value).get(part, "") if isinstance(value, Mapping) else ""
        if self.enum_prefix and isinstance(value, str):
            word = value.removeprefix(self.enum_prefix)
            return "" if word == "UNSPECIFIED" else word
        return as_text(value)


def as_text(value: object) -> str:
    """A JSON value as one cell. Control characters, which a broker's text may hold, become blanks."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() if all(isinstance(item, str) for item in cast("list[object]", value)):
            return _clean(";".join(cast("list[str]", value)))
        case list() | dict():
            return json.dumps(value, ensure_ascii=False) if value else ""
        case _:
            return _clean(str(value))


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text)


def to_json(message: Message, *, with_defaults: bool = False) -> dict[str, Any]:
    """The message as protojson: lowerCamelCase names, enums by name, 64-bit numbers and decimals as strings."""
    return MessageToDict(message, always_print_fields_with_no_presence=with_defaults)


def all_columns(kind: type[Message]) -> tuple[Column, ...]:
    """Every value of a type, in the order of its declaration."""
    return tuple(_columns(cast("Descriptor", kind.DESCRIPTOR), ()))


def table_columns(kind: type[Message]) -> tuple[Column, ...]:
    """What a table shows of a type."""
    wanted = TABLES.get(kind.DESCRIPTOR.full_name)
    columns = all_columns(kind)
    if wanted is None:
        return columns
    by_name = {column.name: column for column in columns}
    return tuple(by_name[name] for name in wanted)


def _columns(descriptor: Descriptor, prefix: tuple[str, ...]) -> Iterator[Column]:
    for field in descriptor.fields:
        path = (*prefix, field.json_name)
        if field.message_type is not None and not field.is_repeated and field.message_type.full_name not in WHOLE:
            yield from _columns(field.message_type, path)
        else:
            yield Column(path=path, enum_prefix=_enum_prefix(field))


def _enum_prefix(field: FieldDescriptor) -> str:
    if field.enum_type is None or field.is_repeated:
        return ""
    return field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
