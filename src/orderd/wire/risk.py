"""Risk as `oms.v1` messages: an account's status, its events, a sizing."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, cast

import msgspec

from oms.v1 import account_service_pb2 as account_pb
from oms.v1 import risk_service_pb2 as pb
from oms.v1 import trade_service_pb2 as desk_pb
from orderd.core.order import EventSource
from orderd.core.sizing import Sizing
from orderd.core.values import Reason, Value, canonical
from orderd.risk.breaker import Breaker, Cause, allowed_loss
from orderd.risk.limits import Limits, TradingState
from orderd.risk.state import RiskEvent, RiskState
from orderd.wire import enums
from orderd.wire.enums import Words
from orderd.wire.messages import reason_message, text_of
from orderd.wire.times import read_time, set_time

TRADING_STATE: Final = Words(TradingState, account_pb.TradingState.Value, "TRADING_STATE_")
CAUSE: Final = Words(Cause, pb.BreakerCause.Value, "BREAKER_CAUSE_")
RISK_EVENT: Final = Words(RiskEvent, desk_pb.DeskEventType.Value, "DESK_EVENT_TYPE_")


def status_message(
    account_id: str, state: RiskState, limits: Limits, *, day_end: datetime | None = None
) -> pb.RiskStatus:
    """Return the journaled part of an account's status, without its sequence. `day_end`: of the breaker's day."""
    message = pb.RiskStatus(
        account_id=account_id,
        trading_state=TRADING_STATE.number[state.trading_state],
        freeze_protection=state.freeze_protection,
        breaker=breaker_message(state.breaker, limits, day_end=day_end),
        version=state.version,
    )
    if state.reason is not None:
        message.reason.CopyFrom(reason_message(state.reason))
    set_time(message.state_changed_time, state.changed_time)
    return message


def breaker_message(breaker: Breaker, limits: Limits, *, day_end: datetime | None) -> pb.CircuitBreaker:
    """Return a circuit breaker as a message."""
    message = pb.CircuitBreaker(
        is_tripped=breaker.trip is not None,
        base_equity=text_of(breaker.base),
        realized_pnl=canonical(breaker.realised),
        daily_loss_limit=text_of(allowed_loss(breaker, limits)),
        losses_in_a_row=breaker.losses_in_a_row,
        losses_in_a_row_limit=limits.max_losses_in_a_row or 0,
    )
    if breaker.trip is not None:
        message.cause = CAUSE.number[breaker.trip.cause]
        set_time(message.tripped_time, breaker.trip.at)
    set_time(message.day_start_time, breaker.day)
    set_time(message.day_end_time, day_end)
    return message


def limit_messages(limits: Limits, used: Mapping[str, str]) -> list[pb.LimitUse]:
    """Return every limit that is set, in the words of the configuration, and what stands against it."""
    return [
        pb.LimitUse(name=name, limit=_shown(value), used=used.get(name, ""))
        for name, value in msgspec.structs.asdict(limits).items()
        if value is not None
    ]


def _shown(value: object) -> str:
    match value:
        case Decimal():
            return canonical(value)
        case bool():
            return str(value).lower()
        case frozenset():
            return ",".join(sorted(cast("frozenset[str]", value)))
        case _:
            return str(value)


def risk_event_bytes(account_id: str, event: RiskEvent, word: Reason | None, at: datetime) -> bytes:
    """Return the bytes of an event of an account's risk, without the status and its sequence."""
    origin = EventSource.RISK if word is None else word.origin
    message = desk_pb.DeskEvent(type=RISK_EVENT.number[event], account_id=account_id, source=enums.ORIGIN[origin])
    if word is not None:
        message.reason.CopyFrom(reason_message(word))
    set_time(message.recorded_time, at)
    return message.SerializeToString(deterministic=True)


class Counted(Value, frozen=True, kw_only=True):
    """What an event says of a realised result. `pnl` None: nothing is left of it, or it has no price; `at` likewise."""

    result_id: str
    version: int
    pnl: Decimal | None
    at: datetime | None


def counted(event: bytes) -> Counted:
    """Read the result that an event of a completed trade carries. Raises DecodeError."""
    return _counted(desk_pb.DeskEvent.FromString(event).completed_trade)


def counted_by_record(body: bytes) -> Counted:
    """Read the result that a completed trade is. Raises DecodeError."""
    return _counted(desk_pb.CompletedTrade.FromString(body))


def _counted(message: desk_pb.CompletedTrade) -> Counted:
    is_there = message.HasField("exit_time")
    return Counted(
        result_id=message.completed_trade_id,
        version=message.version,
        pnl=Decimal(message.pnl) if message.pnl and is_there else None,
        at=read_time(message.exit_time) if is_there else None,
    )


def sizing_message(sizing: Sizing) -> pb.Sizing:
    """Return a sizing as a message."""
    setup, reason = sizing.setup, sizing.reason
    return pb.Sizing(
        quantity=canonical(sizing.quantity),
        code="" if reason is None else reason.code,
        message="" if reason is None else reason.message,
        equity=text_of(setup.equity),
        risk_amount=text_of(sizing.risk_amount),
        risk_per_unit=text_of(sizing.risk_per_unit),
        multiplier=text_of(setup.multiplier),
        step=text_of(setup.step),
        bound_by=sizing.bound_by,
        notional=canonical(sizing.notional),
    )
