"""Try points, or the images of a run: `python -m tests.crash POINT...`; see points.py for what a point is.

    python -m tests.crash 'kill trading 1 137 8'
    python -m tests.crash --kills 50            spread over a run; the same for --again, --power, --faults
    python -m tests.crash --images 300          also with --normal or --deaf: then some must be lost

Prints a JSON line for each point; the exit code is 1 when one of them failed.
"""

import argparse
import gc
import importlib
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import structlog

from tests.crash import images, shim
from tests.crash.disk import STYLES
from tests.crash.points import KINDS, Room
from tests.crash.shim import FAULTS, Plan, Shim

ROOT = Path(__file__).resolve().parents[2]


def spread(calls: int, points: int) -> list[int]:
    """So many of the numbers 1 to `calls`, evenly; all of them when there are not more."""
    if points >= calls:
        return list(range(1, calls + 1))
    return sorted({1 + round(n * (calls - 1) / max(points - 1, 1)) for n in range(points)})


def kills(room: Room, points: int) -> Iterator[str]:
    """A third each: while a journal begins, while it trades, while it is upgraded."""
    for base in ("new", "trading", "old"):
        calls = room.calls(base, 1, Plan())
        for n in spread(calls, max(points // 3, 2)):
            yield f"kill {base} 1 {n} {(n * 7) % 16}"


def again(room: Room, points: int) -> Iterator[str]:
    """A process that dies while it takes up what a dead one left."""
    calls = room.calls("trading", 2, Plan())
    firsts = [calls * part // 8 for part in (2, 4, 7)]
    for first in firsts:
        # A recovery and what follows is about as long as the run itself: its beginning is what matters.
        for second in spread(calls // 2, max(points // len(firsts), 2)):
            yield f"kill trading 2 {first} 8 {second} {(second * 5) % 16}"


def power(room: Room, points: int) -> Iterator[str]:
    """Power cuts with every style of keeping and losing."""
    bases = ("trading", "trading", "new", "old")
    calls = {base: room.calls(base, 3, Plan()) for base in set(bases)}
    chance = random.Random(3)
    for number in range(points):
        base = bases[number % len(bases)]
        style = STYLES[number % len(STYLES)]
        yield f"power {base} 3 {chance.randint(1, calls[base])} {chance.randrange(16)} {style}"


def faults(room: Room, points: int) -> Iterator[str]:
    """Every kind of failing disk, once and from then on, at calls spread over a life and over a journal's birth."""
    cases: list[tuple[str, int]] = []
    for error, (_, kinds) in FAULTS.items():
        trading, new = (room.calls(base, 4, Plan(kinds=int(kinds))) for base in ("trading", "new"))
        # One more than there are: the clean run at the end.
        cases += [(f"fault trading 4 {error}", trading + 1), (f"fault new 4 {error}", new - trading)]
    every = sum(calls for _, calls in cases) * 2
    for case, calls in cases:
        for n in spread(calls, max(2, min(points, every) * calls // every)):
            yield from (f"{case} {n} {how}" for how in ("once", "ever"))


SWEEPS = {"kills": kills, "again": again, "power": power, "faults": faults}


def attempt(room: Room, point: str) -> bool:
    """Try one point and print how it went."""
    kind, *words = point.split(" ")
    started = time.monotonic()
    said: dict[str, object] = {"point": point}
    try:
        KINDS[kind](room, words)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong at a point is that point's result
        said |= {"error": f"{type(error).__name__}: {error}"[:2000], "where": traceback.format_exc()[-1500:]}
    said["s"] = round(time.monotonic() - started, 3)
    print(json.dumps(said), flush=True)
    return "error" not in said


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("points", nargs="*", help="points to try")
    for name in (*SWEEPS, "images"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="NUMBER")
    parser.add_argument("--seed", type=int, default=1, help="of the images")
    parser.add_argument("--first", type=int, default=0, help="only this image, to see one again")
    parser.add_argument("--normal", action="store_true", help="images of a build that syncs with NORMAL")
    parser.add_argument("--deaf", action="store_true", help="images of a disk that does not sync the log")
    parser.add_argument("--folder", default="", help="where to work; kept")
    return parser.parse_args()


def _get_ready_to_fork() -> None:
    """What every fork would do again: import what is imported late, and look through everything that was imported."""
    for late in ("alembic.command", "alembic.config", "alembic.ddl.sqlite", "sqlalchemy.dialects.sqlite.aiosqlite"):
        importlib.import_module(late)
    gc.collect()
    gc.freeze()


def main() -> int:
    """Make sure that the shim is there, then try."""
    arguments = parsed()
    with tempfile.TemporaryDirectory(prefix="orderd-crash-") as temporary:
        folder = Path(arguments.folder or temporary).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            preloaded = Shim()
        except AttributeError:
            library = shim.build(folder)
            environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONHASHSEED": "0"}
            command = [sys.executable, "-m", "tests.crash", *sys.argv[1:]]
            return os.spawnve(os.P_WAIT, sys.executable, command, environment)
        _get_ready_to_fork()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        room = Room(folder, preloaded)
        is_good = all([attempt(room, point) for point in arguments.points])
        for name, sweep in SWEEPS.items():
            if wanted := getattr(arguments, name):
                is_good = all([attempt(room, point) for point in list(sweep(room, wanted))]) and is_good
        if arguments.images:
            is_good = images.sweep(room, arguments) and is_good
        return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
