"""kill -9 at random moments: what was acknowledged is there, what is there is whole, and the next start goes on."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.integrity import Contents, check

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 32
ENOUGH = 1_000
"""Acknowledged in the first life, however slow the machine: the kills of the others have something to lose."""


def _rounds(path: Path, lives_ms: list[int]) -> list[tuple[list[tuple[int, str, int]], Contents]]:
    """Kill a writer once for each life; after each: what it acknowledged, and what the journal then held."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-m", "tests.storage.victim", "write", str(path)]
    results: list[tuple[list[tuple[int, str, int]], Contents]] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True
    ) as victim:
        assert victim.stdin is not None
        assert victim.stdout is not None
        for life_ms in lives_ms:
            victim.stdin.write(f"{life_ms}\n")
            victim.stdin.flush()
            acknowledged: list[tuple[int, str, int]] = []
            is_long = not life_ms
            while (line := victim.stdout.readline()) != "killed\n":
                sequence, order_id, version = line.split()
                acknowledged.append((int(sequence), order_id, int(version)))
                if is_long and len(acknowledged) == ENOUGH:
                    victim.stdin.write("\n")
                    victim.stdin.flush()
            copy = _copied(path)
            results.append((acknowledged, check(copy)))
            _marks_stand_with_their_records(copy)
        victim.stdin.close()
        assert victim.wait() == 0
    return results


def _marks_stand_with_their_records(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        marks = dict(connection.execute("SELECT name, value FROM marks WHERE name LIKE 'desk:%'"))
        records = dict(connection.execute("SELECT 'desk:' || record_id, CAST(version AS TEXT) FROM desk_records"))
    assert marks == records


def _copied(path: Path) -> Path:
    """To look at a journal is to recover it, which is the next life's business: look at a copy."""
    copy = path.with_name("copy.db")
    for ending in ("", "-wal", "-journal"):
        source, target = path.with_name(path.name + ending), copy.with_name(copy.name + ending)
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, target)
    return copy


@pytest.mark.timeout(120)
def test_killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_is_half_there(database: Path) -> None:
    chance = random.Random(2026)
    lives_ms = [0] + [chance.choice([5, 20, 40, 60, 80, 120, 200]) + chance.randrange(20) for _ in range(ROUNDS)]
    results = _rounds(database, lives_ms)
    head = 0
    for acknowledged, contents in results:
        assert contents.head >= head
        head = contents.head
        for sequence, order_id, version in acknowledged:
            assert contents.events[sequence] == (order_id, version)
    assert sum(1 for acknowledged, _ in results if acknowledged) > ROUNDS // 3
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM desk_records").fetchone()[0] > ROUNDS
