"""A process that dies, a power cut and a failing disk, at calls spread over a whole life: docs/testing.md."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.shim import compiler
from tests.reach import PROVES, Reached, patience, scaled

ROOT = Path(__file__).resolve().parents[2]
EVERY = 1_000_000
pytestmark = [
    pytest.mark.skipif(compiler() is None, reason="NO C COMPILER (cc, gcc or clang): nothing between process and disk"),
    pytest.mark.timeout(patience(300)),
]


def tried(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Run `python -m tests.crash` and return what it printed."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    command = [sys.executable, "-m", "tests.crash", "--folder", str(folder), *arguments]
    ran = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert rows, ran.stderr[-3000:]
    assert ran.returncode == any("error" in row for row in rows), ran.stderr[-3000:]
    return rows


def held(folder: Path, *arguments: str) -> list[str]:
    """The points that were tried, all of which held."""
    rows = tried(folder, *arguments)
    failed = [row for row in rows if "error" in row]
    again = "".join(f"\npython -m tests.crash '{row['point']}'\n{row['error']}" for row in failed[:5])
    assert not failed, f"{len(failed)} of {len(rows)} points failed; each again:{again}"
    return [str(row["point"]) for row in rows]


@pytest.mark.scaled
def test_killed_at_any_change_of_a_file(tmp_path: Path, reached: Reached) -> None:
    """A journal's birth, its trading and its upgrade. Half a write may have happened, too."""
    points = held(tmp_path, "--kills", str(scaled(540)))
    upgrades = [point for point in points if " old " in point]
    assert len(points) >= scaled(500)
    reached("P1", "kills at the Nth change of a file: nothing acknowledged or told was lost", len(points))
    reached("P7", "journals looked at as a kill left them: each order is the fold of its events", len(points))
    reached("P19", "of these kills, in the middle of an upgrade: the next start went on with it", len(upgrades))


FOUND = (
    "kill new 1 11 8",  # the rollback journal of a file that was being begun: nobody could read it, nor start
    "fault trading 4 EIO 606 once",  # the last checkpoint of an orderly end: a traceback instead of a reason
    "fault trading 4 ENOSPC 444 ever",
)


def test_what_was_found_before_stays_mended(tmp_path: Path) -> None:
    assert held(tmp_path, *FOUND) == list(FOUND)


@pytest.mark.scaled
def test_killed_again_while_it_recovers(tmp_path: Path, reached: Reached) -> None:
    points = held(tmp_path, "--again", str(scaled(240)))
    reached("P15", "second kills while the first one was recovered from: the same end", len(points))
    reached("P2", "kills during trading and recovery, after which the venue had no order twice", len(points))


@pytest.mark.scaled
def test_the_power_fails_and_the_venue_trades_on(tmp_path: Path, reached: Reached) -> None:
    points = held(tmp_path, "--power", str(scaled(240)))
    reached("P1", "power cuts while trading, then a start that agrees with the venue's ledger", len(points))


@pytest.mark.scaled
@pytest.mark.parametrize("seed", [1, 2, 3] if PROVES else [1])
def test_a_disk_after_a_power_cut_at_any_moment(tmp_path: Path, seed: int, reached: Reached) -> None:
    rows = tried(tmp_path, "--images", str(1100 if PROVES else 300), "--seed", str(seed))
    assert len(rows) == 1, rows[:5]
    assert rows[0]["lost"] == 0
    assert rows[0]["words"] > 100, "too little was said for the images to mean anything"
    reached("P1", "images of a disk after a power cut, with nothing lost", rows[0]["images"])
    reached("P3", "images in which every order that was sent is on record", rows[0]["images"])


@pytest.mark.parametrize("sabotage", ["--normal", "--deaf"])
def test_the_images_see_a_sync_that_is_missing(tmp_path: Path, sabotage: str) -> None:
    """synchronous=NORMAL, and a disk that does not do what it is told: if these passed, the images would be blind."""
    *lost, last = tried(tmp_path, "--images", "60", sabotage)
    assert last["lost"] == len(lost) > 5
    assert any("told and are lost" in row["error"] or "acknowledged and is lost" in row["error"] for row in lost)


@pytest.mark.scaled
def test_a_disk_that_fails_at_any_call(tmp_path: Path, reached: Reached) -> None:
    """EIO, ENOSPC and EROFS: the process ends with a reason, nobody is told a verdict, the next start heals."""
    points = held(tmp_path, "--faults", str(EVERY if PROVES else 50))
    reached("P12", "calls that failed with EIO, ENOSPC or EROFS, once or from then on, up to a clean run", len(points))
