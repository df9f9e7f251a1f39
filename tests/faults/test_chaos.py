"""Seeded days in which everything goes wrong: safe at every step, agreed upon afterwards, the same each time."""

from pathlib import Path

import pytest

from tests.faults.chaos import live
from tests.faults.situations import ALL, RARE
from tests.faults.soak import Outcome, soak
from tests.reach import PROVES, Reached, patience, scaled

ORDERS, DEATHS = (200, 8) if PROVES else (20, 2)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """All days of this run, each lived twice."""
    return soak(0, scaled(1000), orders=ORDERS, deaths=DEATHS, is_told=PROVES)


@pytest.mark.scaled
@pytest.mark.timeout(patience(600))
def test_bad_days_are_safe_at_every_step_end_in_agreement_and_repeat_themselves(
    outcome: Outcome, reached: Reached
) -> None:
    assert not outcome.failures, outcome.report()
    orders = outcome.days * ORDERS
    reached("P2", "simulated orders, none live twice at the venue at any step", orders)
    reached("P5", "simulated orders whose fills equal the venue's to the last decimal", orders)
    reached("P7", "simulated days, state and events one at every commit and death", outcome.days)
    reached("P8", "simulated days in agreement within 30 s of the last fault", outcome.days)
    reached("P16", "simulated days lived twice to the same bytes", outcome.days)
    jumps = outcome.situations["wall clock forward"] + outcome.situations["wall clock back"]
    reached("P18", "jumps of the wall clock by up to a day", jumps)


@pytest.mark.scaled
@pytest.mark.timeout(patience(600))
def test_every_interesting_situation_has_happened(outcome: Outcome, reached: Reached) -> None:
    assert set(outcome.missing) <= (frozenset() if PROVES else RARE)
    reached("P16", "kinds of interesting situations, each met at least once", len(ALL) - len(outcome.missing))


def test_a_day_can_be_lived_here(tmp_path: Path) -> None:
    """In the process of a debugger, too."""
    assert live(3, tmp_path, orders=10, kills=1).digest
