"""A dozen simulated days, for defects that only a crowd of faults shows. Run by name only: pytest does not find it."""

from pathlib import Path

import pytest

from tests.faults.chaos import live


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_day(tmp_path: Path, seed: int) -> None:
    assert live(seed, tmp_path, orders=20, kills=2).digest
