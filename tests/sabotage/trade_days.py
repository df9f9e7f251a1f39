"""A few simulated days of trades, for defects that only a crowd of faults shows. Run by name only."""

from pathlib import Path

import pytest

from tests.desk.days import live_trades


@pytest.mark.parametrize("seed", range(10))
def test_a_bad_day_of_trades(tmp_path: Path, seed: int) -> None:
    assert live_trades(seed, tmp_path, orders=15, kills=2).digest
