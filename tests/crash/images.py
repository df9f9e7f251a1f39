"""What a disk may hold after a power cut, at every moment of a run, and what a journal must make of it.

A run is several lives of a trading process with kills between them, traced. At each moment the trace gives one image;
nothing that anybody was told before it may be missing from the journal that opens it.
"""

import argparse
import json
import time
from pathlib import Path

from orderd.storage import InlineRunner, connect, open_journal
from orderd.system import SeededIds, VirtualClock, run_virtual
from tests.crash.disk import STYLES, Disk, write_image
from tests.crash.history import Evidence, History
from tests.crash.life import ENDED
from tests.crash.points import Room
from tests.crash.shim import Plan, Record, read_trace


def with_normal() -> None:
    """Make the build of this process one that does not sync every commit: what the images must be able to see."""
    connect.READING = tuple(p.replace("FULL", "NORMAL") for p in connect.READING)  # type: ignore[misc]
    connect.WRITING = tuple(p.replace("FULL", "NORMAL") for p in connect.WRITING)  # type: ignore[misc]
    connect.VERIFIED = tuple((n, 1 if n == "synchronous" else v) for n, v in connect.VERIFIED)  # type: ignore[misc,assignment]


def record(room: Room, seed: int, *, is_normal: bool) -> list[Record]:
    """Trade, die, trade, die, trade on; the trace of all of it.

    The deaths are at a sync of the log: a whole commit is written and not safe, and the next life finds it there.
    """
    begun = room.history("new", seed, is_traced=True)
    if is_normal:
        begun.before_each(with_normal)
    assert begun.trace is not None
    for part in (3, 2):
        at = _a_sync(room, seed, part)
        begun.life(Plan(at=at))
    begun.life()
    return list(read_trace(begun.trace))


def _a_sync(room: Room, seed: int, part: int) -> int:
    """Which change of a file is a sync of the log, a `part`th of the way through a life that nothing happens to."""
    calm = History(room.folder / "calm", room.shim, seed=seed, is_traced=True)
    assert calm.life() == ENDED, calm.said()
    assert calm.trace is not None
    changes = [one for one in read_trace(calm.trace) if one.kind != "M"]
    syncs = [place for place, one in enumerate(changes, start=1) if one.kind == "S" and one.name.endswith("-wal")]
    return syncs[len(syncs) // part + seed % 5]


def moments(trace: list[Record], wanted: int) -> list[tuple[int, int]]:
    """(place in the trace, which cut) of so many images, evenly; a cut is what the disk chose to keep."""
    changes = [place for place, one in enumerate(trace) if one.kind != "M" and not one.name.endswith(".lock")]
    cuts = -(-wanted // len(changes))
    numbered = [(place, cut) for place in changes for cut in range(cuts)]
    return [numbered[number * len(numbered) // wanted] for number in range(wanted)]


def sweep(room: Room, arguments: argparse.Namespace) -> bool:
    """Cut the power at all of them; print what was lost, and one line at the end. True when nothing was."""
    trace = record(room, arguments.seed, is_normal=arguments.normal)
    disk, evidence, place, bad = Disk(), Evidence(), 0, 0
    chosen = moments(trace, arguments.images)
    started, words = time.monotonic(), 0
    for number, (end, cut) in enumerate(chosen, start=1):
        while place <= end:
            words += _feed(disk, evidence, trace[place], is_deaf=arguments.deaf)
            place += 1
        if arguments.first and number != arguments.first:
            continue
        style = STYLES[(end + cut) % len(STYLES)]
        write_image(disk.after_a_cut(arguments.seed * 1_000_003 + end * 11 + cut, style), room.folder / "image")
        error = look(room.folder / "image", evidence)
        if error:
            bad += 1
            again = f"python -m tests.crash --images {arguments.images} --seed {arguments.seed} --first {number}"
            print(json.dumps({"image": number, "style": style, "error": error[:1000], "again": again}), flush=True)
    said = {"images": len(chosen), "lost": bad, "words": words, "s": round(time.monotonic() - started, 1)}
    print(json.dumps(said), flush=True)
    return bad == 0


def _feed(disk: Disk, evidence: Evidence, one: Record, *, is_deaf: bool) -> int:
    if one.kind == "M":
        evidence.hear_mark(one.data.decode())
        return 1
    if not (is_deaf and one.kind == "S" and one.name.endswith("-wal")):
        disk.feed(one)
    return 0


def look(folder: Path, evidence: Evidence) -> str:
    """Open the image as the next start would; what is wrong with it, empty when nothing is."""
    database = folder / "orderd.db"

    async def start() -> None:
        clock = VirtualClock()
        url = f"sqlite+aiosqlite:///{database}"
        runner = InlineRunner(lambda: 0.0)
        journal = await open_journal(url, clock=clock, ids=SeededIds(1, clock.now), runner=runner)
        await journal.close()

    try:
        run_virtual(start)
        evidence.must_hold(database)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with an image is the result
        return f"{type(error).__name__}: {error}"
    return ""
