"""What a simulated day is made of: the orders, the faults, and what each kind of day has more of than the others."""

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from oms.v1 import order_pb2 as opb
from orderd.venue.faults import FaultKind

SYMBOLS = ("KO", "F", "AMD")
ORDERS_PATH = "/v2/orders"
TOO_MANY = 429
METHODS = ("", "POST", "GET", "DELETE", "PATCH")
Shape = dict[str, Any]

REQUEST_FAULTS: tuple[Shape, ...] = (
    {"kind": FaultKind.LOSE_ANSWER},
    {"kind": FaultKind.LOSE_REQUEST},
    {"kind": FaultKind.HOLD_ANSWER, "delay_ms": 300},
    {"kind": FaultKind.HOLD_ANSWER, "delay_ms": 2500},
    {"kind": FaultKind.LAND_LATE, "status": 0, "delay_ms": 400},
    {"kind": FaultKind.LAND_LATE, "status": 503, "delay_ms": 700},
    {"kind": FaultKind.ANSWER_STATUS, "status": 500},
    {"kind": FaultKind.ANSWER_STATUS, "status": 503, "is_accepted": False},
    {"kind": FaultKind.ANSWER_STATUS, "status": TOO_MANY, "is_accepted": False},
    {"kind": FaultKind.ANSWER_STATUS, "status": TOO_MANY},
    {"kind": FaultKind.ANSWER_STATUS, "status": 502, "body": "html"},
    {"kind": FaultKind.CUT_ANSWER, "at_byte": 200},
    {"kind": FaultKind.UNKNOWN_STATUS},
    {"kind": FaultKind.PARTIAL_THEN_CANCEL},
    {"kind": FaultKind.FILL_CROSSES_CANCEL},
    {"kind": FaultKind.FILL_CROSSES_REPLACE},
    {"kind": FaultKind.REJECT},
)
FRAME_FAULTS: tuple[Shape, ...] = (
    {"kind": FaultKind.DROP_FRAME},
    {"kind": FaultKind.DUPLICATE_FRAME},
    {"kind": FaultKind.DELAY_FRAME, "delay_ms": 50},
    {"kind": FaultKind.DELAY_FRAME, "delay_ms": 3000},
    {"kind": FaultKind.REORDER_FRAME},
    {"kind": FaultKind.UNREADABLE_FRAME},
    {"kind": FaultKind.UNKNOWN_EVENT},
    {"kind": FaultKind.UNKNOWN_FRAME_STATUS},
    {"kind": FaultKind.DISCONNECT, "is_accepted": False},
    {"kind": FaultKind.DISCONNECT, "code": 0},
    {"kind": FaultKind.REFUSE_LOGIN},
    {"kind": FaultKind.REFUSE_UPGRADE},
)


@dataclass(frozen=True)
class Theme:
    """What a day has more of."""

    name: str
    faults: tuple[Shape, ...] = ()
    policy: tuple[tuple[str, Any], ...] = ()
    slowest_commit_s: float = 0.003
    carries_fills: bool = True
    has_neighbour: bool = False
    """A second account, whose broker is dead all day."""
    deaths: int = 1
    """Times as many as on other days."""
    restates: int = 0
    """Executions taken back or corrected, of 100 orders."""
    jumps: int = 0
    """Of the wall clock, of 100 orders."""
    failing_commits: int = 0
    """Of 100 orders."""
    expires: int = 0
    """Times the session ends, of 100 orders."""
    wants_changes: int = 1
    """Times as many cancels and replaces as on other days."""


def _often(chance: float, method: str, **shape: Any) -> Shape:  # noqa: ANN401 - any field of a fault
    return {"probability": chance, "method": method, "path": ORDERS_PATH, **shape}


def _frames(chance: float, kind: FaultKind, **shape: Any) -> Shape:  # noqa: ANN401 - any field of a fault
    return {"probability": chance, "kind": kind, **shape}


THEMES: tuple[Theme, ...] = (
    Theme("plain"),
    Theme("a dead neighbour", has_neighbour=True, expires=3),
    Theme("the wall clock jumps", jumps=10),
    Theme("executions are taken back", restates=20),
    Theme("a failing disk", slowest_commit_s=0.3, failing_commits=8),
    Theme(
        "too much is traded",
        faults=(_often(0.1, "POST", kind=FaultKind.OVERFILL, quantity=Decimal(1)),),
    ),
    Theme(
        "changes cross fills",
        faults=(
            _often(0.5, "DELETE", kind=FaultKind.FILL_CROSSES_CANCEL),
            _often(0.5, "PATCH", kind=FaultKind.FILL_CROSSES_REPLACE),
            _often(0.1, "POST", kind=FaultKind.PARTIAL_THEN_CANCEL),
        ),
        wants_changes=3,
    ),
    Theme(
        "executions are taken back and frames are late",
        faults=(
            _frames(0.4, FaultKind.DELAY_FRAME, delay_ms=400),
            _frames(0.2, FaultKind.REORDER_FRAME),
        ),
        restates=60,
    ),
    Theme(
        "a slow broker and a short queue",
        faults=(_often(0.5, "POST", kind=FaultKind.HOLD_ANSWER, delay_ms=2500),),
        policy=(("queue_limit", 2), ("parallel_submits", 1), ("send_within_s", 4)),
    ),
    Theme(
        "unclear submits",
        faults=(
            _often(0.3, "POST", kind=FaultKind.LAND_LATE, status=0, delay_ms=700),
            _often(0.2, "POST", kind=FaultKind.LOSE_REQUEST),
            _often(0.2, "POST", kind=FaultKind.ANSWER_STATUS, status=TOO_MANY, is_accepted=False),
            _often(0.3, "POST", kind=FaultKind.ANSWER_STATUS, status=TOO_MANY),
        ),
        policy=(("send_within_s", 10),),
        wants_changes=3,
    ),
    Theme("it dies everywhere", deaths=4),
    Theme("successors count from nothing", carries_fills=False, wants_changes=2, expires=3),
    Theme(
        "a stream that is hardly there",
        faults=(
            _frames(0.3, FaultKind.DISCONNECT, code=0),
            _frames(0.3, FaultKind.REFUSE_UPGRADE),
            _frames(0.4, FaultKind.DROP_FRAME),
        ),
    ),
)


def theme_of(seed: int) -> Theme:
    """What the day of a seed is about."""
    return THEMES[seed % len(THEMES)]


def faults_of(seed: int, chance: random.Random) -> list[Shape]:
    """The fault script of a day: some of everything, and what it is about."""
    shapes: list[Shape] = []
    for shape in chance.sample(REQUEST_FAULTS, 5):
        method, likely = chance.choice(METHODS), chance.choice((0.02, 0.1, 0.3))
        shapes.append({**shape, "method": method, "path": ORDERS_PATH, "probability": likely})
    shapes += [{**shape, "probability": chance.choice((0.02, 0.1, 0.3))} for shape in chance.sample(FRAME_FAULTS, 4)]
    return [{**shape, "times": 0} for shape in (*shapes, *theme_of(seed).faults)]


def asked(key: str) -> dict[str, Any]:
    """The order that goes with a key: a repeat says the same."""
    chance = random.Random(f"order {key}")
    symbol = chance.choice(SYMBOLS)
    fields: dict[str, Any] = {"symbol": symbol, "quantity": str(chance.randint(1, 9)), "trace_id": f"t-{key}"}
    kind = chance.random()
    if kind < 0.35:
        return fields
    if kind < 0.8:
        low, high = {"KO": ("80", "90"), "F": ("9", "12"), "AMD": ("150", "170")}[symbol]
        return fields | {"limit_price": chance.choice((low, low, high))}
    stop = {"KO": "90", "F": "12", "AMD": "170"}[symbol]
    if kind < 0.86:
        return fields | {"type": opb.ORDER_TYPE_STOP, "stop_price": stop}
    if kind < 0.93:
        return strategy(fields) | {"limit_price": chance.choice(("1", "9"))}
    profit, loss = {"KO": ("95", "70"), "F": ("14", "8"), "AMD": ("180", "130")}[symbol]
    return fields | {
        "order_class": opb.ORDER_CLASS_BRACKET,
        "take_profit": opb.TakeProfit(limit_price=profit),
        "stop_loss": opb.StopLoss(stop_price=loss),
    }


def strategy(fields: dict[str, Any]) -> dict[str, Any]:
    """A call spread on AMD."""
    symbols = ("AMD261218C00160000", "AMD261218C00170000")
    legs = [opb.Leg(symbol=symbol, ratio=1, side=side) for symbol, side in zip(symbols, (1, 2), strict=True)]
    return {
        "quantity": fields["quantity"],
        "trace_id": fields["trace_id"],
        "order_class": opb.ORDER_CLASS_MULTILEG,
        "legs": legs,
    }
