"""Live many simulated days, each twice: `python -m tests.faults.soak 0:1000 --orders 200 --deaths 8`.

`--of trades` lives days of trades.

Two processes with different hash seeds live all of them, and must come to the same bytes. A day that fails, or differs,
is named with the line that lives it again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from tests.desk.days import SITUATIONS, live_trades
from tests.faults.chaos import live as live_orders
from tests.faults.situations import ALL

WANTED = {"orders": ALL, "trades": SITUATIONS}
"""What must happen at least once in days of each kind."""

HASH_SEEDS = ("1", "2")
"""Of the two processes: an order that depends on hashes is another one in each."""
IN_MEMORY = Path("/dev/shm")
"""Nothing here is about the disk, and a commit that waits for one takes most of a day's time."""


class Lived(msgspec.Struct, frozen=True, kw_only=True):
    """One day, as one process lived it."""

    seed: int
    digest: str = ""
    slowest_s: float = 0.0
    situations: dict[str, int] = {}
    failure: str = ""


@dataclass
class Outcome:
    """What a run came to."""

    orders: int
    deaths: int
    of: str = "orders"
    failures: dict[int, str] = field(default_factory=dict)
    days: int = 0
    slowest_s: float = 0.0
    situations: Counter[str] = field(default_factory=Counter)

    def take(self, runs: Sequence[Lived]) -> None:
        """Take in one day, lived by each process."""
        self.days += 1
        first = runs[0]
        self.situations.update(first.situations)
        self.slowest_s = max(self.slowest_s, first.slowest_s)
        failed = [run.failure for run in runs if run.failure]
        if failed:
            self.failures[first.seed] = failed[0]
        elif len({run.digest for run in runs}) > 1:
            self.failures[first.seed] = "lived twice, the journals differ"

    @property
    def missing(self) -> list[str]:
        """Situations that never happened."""
        return sorted(name for name in WANTED[self.of] if not self.situations[name])

    def report(self) -> str:
        """Each failure with the line that repeats it."""
        return "\n".join(
            f"make soak SEEDS={seed}:{seed + 1} ORDERS={self.orders} DEATHS={self.deaths} OF={self.of}\n  {text}"
            for seed, text in sorted(self.failures.items())
        )


def live_one(seed: int, orders: int, deaths: int, folder: Path, *, of: str) -> Lived:
    """Live one day in a folder of its own."""
    live = {"orders": live_orders, "trades": live_trades}[of]
    directory = folder / str(seed)
    directory.mkdir()
    try:
        told = live(seed, directory, orders=orders, kills=deaths)
    except Exception as error:  # noqa: BLE001 - whatever went wrong on a day is what is asked for
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        lines = traceback.format_exception_only(error)
        return Lived(seed=seed, failure="".join(lines).strip()[:2000])
    finally:
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()
    return Lived(seed=seed, digest=told.digest, slowest_s=told.slowest_s, situations=dict(told.situations))


def work(seeds: Iterable[int], orders: int, deaths: int, *, of: str) -> None:
    """What each process does: a line for each day."""
    # Even what is critical: the output is for the lines.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), logger_factory=structlog.ReturnLoggerFactory()
    )
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        for seed in seeds:
            sys.stdout.write(msgspec.json.encode(live_one(seed, orders, deaths, Path(folder), of=of)).decode() + "\n")
            sys.stdout.flush()


class _Pairs:
    """Brings both runs of each day together."""

    def __init__(self, outcome: Outcome, *, is_told: bool) -> None:
        self._outcome = outcome
        self._is_told = is_told
        self._waiting: dict[int, list[Lived]] = {}
        self._lock = threading.Lock()

    def follow(self, process: "subprocess.Popen[str]") -> None:
        """Take every line that a process writes."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with self._lock:
                    self._take(msgspec.json.decode(line, type=Lived))

    def _take(self, day: Lived) -> None:
        runs = self._waiting.setdefault(day.seed, [])
        runs.append(day)
        if len(runs) < len(HASH_SEEDS):
            return
        del self._waiting[day.seed]
        self._outcome.take(runs)
        if self._is_told and day.seed in self._outcome.failures:
            sys.stdout.write(f"seed {day.seed}: {self._outcome.failures[day.seed]}\n")
            sys.stdout.flush()


def soak(first: int, end: int, *, orders: int, deaths: int, of: str = "orders", is_told: bool = False) -> Outcome:
    """Live all days twice; `is_told`: say each failure at once."""
    outcome = Outcome(orders=orders, deaths=deaths, of=of)
    pairs = _Pairs(outcome, is_told=is_told)
    command = [sys.executable, "-m", "tests.faults.soak", f"{first}:{end}", "--of", of, "--orders", str(orders)]
    processes = [
        subprocess.Popen(
            [*command, "--deaths", str(deaths), "--work"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in HASH_SEEDS
    ]
    followers = [threading.Thread(target=pairs.follow, args=(process,)) for process in processes]
    for follower in followers:
        follower.start()
    for follower in followers:
        follower.join()
    ends = [process.wait() for process in processes]
    if any(ends) or outcome.days < end - first:
        raise RuntimeError(f"the processes ended with {ends} after {outcome.days} of {end - first} days")
    return outcome


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("seeds", help="FIRST:END")
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--deaths", type=int, default=8)
    parser.add_argument("--of", choices=sorted(WANTED), default="orders")
    parser.add_argument(
        "--work", action="store_true", help="live them once, in this process, and print a line for each"
    )
    asked = parser.parse_args()
    first, _, end = asked.seeds.partition(":")
    if asked.work:
        work(range(int(first), int(end)), asked.orders, asked.deaths, of=asked.of)
        return 0
    outcome = soak(int(first), int(end), orders=asked.orders, deaths=asked.deaths, of=asked.of, is_told=True)
    print(f"{outcome.days} days of {asked.orders} {asked.of}, each lived twice; {len(outcome.failures)} failed")
    print(f"both sides agreed {outcome.slowest_s:g} virtual seconds after the last fault, at the latest")
    print("never happened:", ", ".join(outcome.missing) or "nothing that should")
    if outcome.failures:
        print(outcome.report())
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
