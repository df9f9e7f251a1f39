"""Seeded days in which everything goes wrong: the books agree afterwards, nothing is lost or there twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.chaos import digest, live

PROGRAM = """
import sys
from pathlib import Path
from tests.faults.chaos import live
live(int(sys.argv[1]), Path(sys.argv[2]))
"""
A_FEW = 8


@pytest.mark.parametrize("first", range(0, 5 * A_FEW, A_FEW))
def test_after_a_bad_day_the_books_agree(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + A_FEW):
        directory = tmp_path / str(seed)
        directory.mkdir()
        live(seed, directory)


@pytest.mark.prove
@pytest.mark.parametrize("first", range(10_000, 11_000, A_FEW))
def test_after_a_thousand_bad_days_the_books_agree(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + A_FEW):
        directory = tmp_path / str(seed)
        directory.mkdir()
        live(seed, directory, orders=200, kills=8)


@pytest.mark.parametrize("seed", [3])
def test_the_same_seed_is_the_same_day_in_another_process(tmp_path: Path, seed: int) -> None:
    digests: list[str] = []
    for hash_seed in ("1", "2"):
        directory = tmp_path / hash_seed
        directory.mkdir()
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", PROGRAM, str(seed), str(directory)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=50)
        digests.append(digest(directory / "orderd.db"))
    assert digests[0] == digests[1]
