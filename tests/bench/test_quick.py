"""The bench runs: a look at everything it measures by default, small. Its figures are nobody's to judge here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def keys() -> list[str]:
    """What the bench signs in with."""
    program = "from bench import exchange; print(exchange.KEY_ID, exchange.SECRET)"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.timeout(180)
def test_the_quick_bench_measures_and_writes_figures(tmp_path: Path) -> None:
    figures = tmp_path / "bench.json"
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    rows = {row["name"]: row for row in json.loads(figures.read_text())["rows"]}
    assert rows["SubmitOrder, wait JOURNAL, 64 at a time"]["ours"][0] > 0
    assert rows["GetOrder of a live order, 64 at a time"]["limit"][0] > 0
    assert all(name in ran.stdout for name in rows)
    for key in keys():
        assert key not in ran.stdout + ran.stderr + figures.read_text()


def test_a_flag_that_is_none_is_refused() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "everything"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, "invalid choice" in ran.stderr) == (2, True)
