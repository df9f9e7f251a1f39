"""What is remembered of an account's risk, and which of its changes are told."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from orderd.core.values import Reason, Value
from orderd.risk.breaker import Breaker
from orderd.risk.limits import TradingState

_STRICTNESS: Final = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class RiskEvent(StrEnum):
    """What happened to an account's risk; names are those of `oms.v1.DeskEventType` without its prefix."""

    TRADING_STATE_CHANGED = "TRADING_STATE_CHANGED"
    CIRCUIT_BREAKER_TRIPPED = "CIRCUIT_BREAKER_TRIPPED"
    CIRCUIT_BREAKER_RESET = "CIRCUIT_BREAKER_RESET"
    ACCOUNT_FLATTENED = "ACCOUNT_FLATTENED"


class RiskState(Value, frozen=True, kw_only=True):
    """The durable part of an account's risk. `reason` and `changed_time` are of the trading state.

    `version` counts what was told, `created_time` is when that was first.
    """

    trading_state: TradingState = TradingState.ACTIVE
    freeze_protection: bool = False
    reason: Reason | None = None
    changed_time: datetime | None = None
    breaker: Breaker = Breaker()
    version: int = 0
    created_time: datetime | None = None

    @property
    def strictness(self) -> int:
        """How little passes."""
        return _STRICTNESS[self.trading_state] + self.freeze_protection

    @property
    def trading_reason(self) -> str:
        """Why the trading state is what it is, for people; empty when nobody has ever set it."""
        return "" if self.reason is None else self.reason.message

    @property
    def is_frozen(self) -> bool:
        """Whether not even stops and exits are sent."""
        return self.trading_state is TradingState.HALTED and self.freeze_protection


def breaker_event(before: Breaker, after: Breaker) -> RiskEvent | None:
    """What is to be told of a change of the breaker, None for what is only counted."""
    if after.trip is not None:
        return None if after.trip == before.trip else RiskEvent.CIRCUIT_BREAKER_TRIPPED
    return None if before.trip is None else RiskEvent.CIRCUIT_BREAKER_RESET
