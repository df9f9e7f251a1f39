"""Alpaca's words and ours: the mapping tables of docs/brokers/alpaca.md, as data.

Rule: a word that is not in a table is not an error. It becomes `Phase.UNKNOWN` or None and the raw word is kept.
"""

from orderd.core.activities import ActivityKind
from orderd.core.order import AssetClass, OrderClass, OrderType, Phase, PositionIntent, Side, TimeInForce
from orderd.ports import ReportKind

PHASES = {
    "pending_new": Phase.QUEUED,
    "accepted": Phase.QUEUED,
    "held": Phase.QUEUED,
    "new": Phase.WORKING,
    "accepted_for_bidding": Phase.WORKING,
    "stopped": Phase.WORKING,  # a promised fill is not a fill
    "suspended": Phase.WORKING,
    "done_for_day": Phase.WORKING,
    "calculated": Phase.WORKING,
    "pending_review": Phase.WORKING,
    "partially_filled": Phase.WORKING,
    "filled": Phase.FILLED,
    "canceled": Phase.CANCELED,
    "expired": Phase.EXPIRED,
    "rejected": Phase.REJECTED,
    "replaced": Phase.REPLACED,
    "pending_cancel": Phase.PENDING_CANCEL,
    "pending_replace": Phase.PENDING_REPLACE,
}

ENDED_AT = {
    Phase.FILLED: "filled_at",
    Phase.CANCELED: "canceled_at",
    Phase.EXPIRED: "expired_at",
    Phase.REJECTED: "failed_at",
    Phase.REPLACED: "replaced_at",
}
"""Which field tells when it ended."""

SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL}
"""`sell_short` was met in activities only."""

TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
    "trailing_stop": OrderType.TRAILING_STOP,
}

TIMES_IN_FORCE = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
    "opg": TimeInForce.OPG,
    "cls": TimeInForce.CLS,
}

CLASSES = {
    "": OrderClass.SIMPLE,
    "simple": OrderClass.SIMPLE,
    "bracket": OrderClass.BRACKET,
    "oco": OrderClass.OCO,
    "oto": OrderClass.OTO,
    "mleg": OrderClass.MULTILEG,
}

INTENTS = {
    "buy_to_open": PositionIntent.BUY_TO_OPEN,
    "buy_to_close": PositionIntent.BUY_TO_CLOSE,
    "sell_to_open": PositionIntent.SELL_TO_OPEN,
    "sell_to_close": PositionIntent.SELL_TO_CLOSE,
}

ASSET_CLASSES = {
    "us_equity": AssetClass.US_EQUITY,
    "us_option": AssetClass.US_OPTION,
    "crypto": AssetClass.CRYPTO,
}

KINDS = {
    "trade_bust": ReportKind.BUST,
    "trade_correct": ReportKind.CORRECT,
    "order_cancel_rejected": ReportKind.CANCEL_REJECTED,
    "order_replace_rejected": ReportKind.REPLACE_REJECTED,
}
"""Every other event, known or not, is an UPDATE whose order tells the rest."""

HOLDING_ACTIVITIES = {
    "OPEXP": ActivityKind.EXPIRED,
    "OPEXC": ActivityKind.EXERCISED,
    "OPASN": ActivityKind.ASSIGNED,
    "OPTRD": ActivityKind.DELIVERED,
    "SPLIT": ActivityKind.SPLIT,
    "CFEE": ActivityKind.FEE_IN_KIND,
}
"""Activities that change a holding without an order. A dividend names a quantity, too: of what it was paid for."""

FILL_EVENTS = frozenset({"fill", "partial_fill"})

CLASS_WORDS = {
    OrderClass.BRACKET: "bracket",
    OrderClass.OCO: "oco",
    OrderClass.OTO: "oto",
    OrderClass.MULTILEG: "mleg",
}
"""What a request says; a simple order says nothing."""


def word(value: Side | OrderType | TimeInForce | PositionIntent) -> str:
    """Return the word of a request: Alpaca writes FIX's names in lower case."""
    return value.value.lower()
