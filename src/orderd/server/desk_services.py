"""The services of the desk: what the server serves beside orders, accounts and brokers, as far as there is a desk."""

from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor

from oms.v1 import decision_service_pb2, position_service_pb2, risk_service_pb2, trade_service_pb2
from orderd.desk.decisions import DecisionDesk
from orderd.desk.position_desk import PositionDesk
from orderd.desk.risk import RiskDesk
from orderd.desk.trades import TradeDesk
from orderd.engine.api import Engine
from orderd.server.decisions import DecisionCalls
from orderd.server.desk_stream import DeskStreams
from orderd.server.positions import PositionCalls
from orderd.server.results import AsOf, ResultCalls
from orderd.server.risk import RiskCalls
from orderd.server.trades import TradeCalls


@dataclass(frozen=True, kw_only=True)
class DeskParts:
    """What the desk of this process has; None for what it has not."""

    trades: TradeDesk | None = None
    completed: AsOf | None = None
    decisions: DecisionDesk | None = None
    positions: PositionDesk | None = None
    risk: RiskDesk | None = None


NO_DESK = DeskParts()


def services(engine: Engine, desk: DeskParts) -> list[tuple[FileDescriptor, tuple[object, ...]]]:
    """Each service's file and the parts that serve its methods; a service without any part is left out."""
    of_trades: list[object] = [DeskStreams(engine)]
    if desk.trades is not None:
        of_trades.append(TradeCalls(engine, desk.trades))
    if desk.completed is not None:
        of_trades.append(ResultCalls(engine, desk.completed))
    found: list[tuple[FileDescriptor, tuple[object, ...]]] = [(trade_service_pb2.DESCRIPTOR, tuple(of_trades))]
    if desk.decisions is not None:
        found.append((decision_service_pb2.DESCRIPTOR, (DecisionCalls(engine, desk.decisions),)))
    if desk.positions is not None:
        found.append((position_service_pb2.DESCRIPTOR, (PositionCalls(engine, desk.positions),)))
    if desk.risk is not None:
        found.append((risk_service_pb2.DESCRIPTOR, (RiskCalls(engine, desk.risk),)))
    return [] if desk == NO_DESK else found
