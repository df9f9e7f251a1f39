"""The order state changes of FIX 4.4 (volume 4, appendix D) through Alpaca's protocol, in front of the whole engine."""

from pathlib import Path

import pytest

from orderd.system import run_virtual
from tests.fix.stage import Stage
from tests.fix.steps import Scenario
from tests.fix.table import LEFT_OUT, SCENARIOS
from tests.reach import Reached

PLAYED = [scenario for scenario in SCENARIOS if not scenario.not_at_the_broker]


@pytest.mark.parametrize("scenario", PLAYED, ids=str)
def test_the_order_goes_as_the_table_says(scenario: Scenario, tmp_path: Path, reached: Reached) -> None:
    wrong = run_virtual(lambda: Stage(scenario, tmp_path).play())
    assert not wrong, "\n".join(wrong)
    reached("P5", "rows of the order state change tables, played through Alpaca's protocol", len(scenario.rows))


def test_what_is_not_played_says_why() -> None:
    assert {scenario.name for scenario in SCENARIOS} - {scenario.name for scenario in PLAYED} == {"C.3.b"}
    assert all(LEFT_OUT.values())
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
