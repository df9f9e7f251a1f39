"""What is remembered of an account's risk: how strict it is, and which changes are told."""

from datetime import UTC, datetime

import pytest

from orderd.core.values import Reason
from orderd.risk.breaker import Breaker, Cause, Trip
from orderd.risk.limits import TradingState
from orderd.risk.state import RiskEvent, RiskState, breaker_event

AT = datetime(2026, 1, 5, 15, tzinfo=UTC)
TRIPPED = Breaker(day=AT, trip=Trip(cause=Cause.DAILY_LOSS, at=AT, message="m"))
AGAIN = Breaker(day=AT, trip=Trip(cause=Cause.LOSSES_IN_A_ROW, at=AT, message="n"))
CLOSED = Breaker(day=AT)


def test_how_strict_a_state_is() -> None:
    states = [RiskState(trading_state=state, freeze_protection=freeze) for state, freeze in (
        (TradingState.ACTIVE, False), (TradingState.REDUCING, False), (TradingState.HALTED, False),
        (TradingState.HALTED, True),
    )]  # fmt: skip
    assert [state.strictness for state in states] == [0, 1, 2, 3]
    assert [state.is_frozen for state in states] == [False, False, False, True]
    assert not RiskState(trading_state=TradingState.ACTIVE, freeze_protection=True).is_frozen
    assert RiskState().trading_reason == ""
    assert RiskState(reason=Reason(code="c", message="why")).trading_reason == "why"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (CLOSED, CLOSED, None),
        (CLOSED, TRIPPED, RiskEvent.CIRCUIT_BREAKER_TRIPPED),
        (TRIPPED, TRIPPED, None),
        (TRIPPED, AGAIN, RiskEvent.CIRCUIT_BREAKER_TRIPPED),
        (TRIPPED, CLOSED, RiskEvent.CIRCUIT_BREAKER_RESET),
    ],
)
def test_what_is_told_of_the_breaker(before: Breaker, after: Breaker, told: RiskEvent | None) -> None:
    assert breaker_event(before, after) is told
