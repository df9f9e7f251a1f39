"""Seeded days of trades in which everything goes wrong: safe at every step, in cover or over afterwards, repeatable."""

from pathlib import Path

import pytest

from tests.desk.days import live_trades
from tests.faults.soak import Outcome, soak
from tests.reach import PROVES, Reached, patience, scaled

TRADES, DEATHS = (60, 5) if PROVES else (20, 2)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """All days of this run, each lived twice."""
    return soak(0, scaled(200, part=20), orders=TRADES, deaths=DEATHS, of="trades", is_told=PROVES)


@pytest.mark.scaled
@pytest.mark.timeout(patience(300))
def test_bad_days_of_trades_are_safe_and_end_in_cover(outcome: Outcome, reached: Reached) -> None:
    assert not outcome.failures, outcome.report()
    assert not outcome.missing or not PROVES
    reached("P2", "simulated trades: never two exits for one position", outcome.days * TRADES)
    reached("P5", "simulated trades whose orders equal the venue's to the last decimal", outcome.days * TRADES)
    reached(
        "P8", "pauses of the faults after which everything held had its stop or an alarm", outcome.situations["a lull"]
    )
    reached("P15", "simulated days of trades over which a restart changed nothing", outcome.days)
    reached("P16", "simulated days of trades lived twice to the same bytes", outcome.days)


def test_a_day_of_trades_can_be_lived_here(tmp_path: Path) -> None:
    """In the process of a debugger, too."""
    assert live_trades(3, tmp_path, orders=10, kills=1).digest
