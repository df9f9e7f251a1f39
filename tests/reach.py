"""How far a run goes, and how far it went.

`make test` goes a tenth of the way that `make prove` goes, in the same tests. What a test reached is written down when
it has passed; docs/reliability.md is made of that.
"""

import datetime
import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Final

PROVES: Final = os.environ.get("ORDERD_PROVE") == "1"
"""Whether this run goes all the way. Read once: no test changes it."""
TOLD: Final = os.environ.get("ORDERD_REACHED", "")
"""The folder for what was reached; empty: nobody asked."""


def scaled(full: int, *, part: int = 10) -> int:
    """How many of `full` this run does: all of them, or a `part`th of them, and one at least."""
    return full if PROVES else max(1, full // part)


def patience(seconds: float) -> float:
    """How long a test that is `scaled` may take in `make test`; a run that goes all the way has no limit (0)."""
    return 0 if PROVES else seconds


@functools.cache
def this_run() -> str:
    """What tells this run from others: its day, and the commit that it tried (`+` with changes that are in none)."""
    asked = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    told = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d} {told.stdout.strip()}".strip()


class Reached:
    """What one test has to tell, kept until it has passed."""

    def __init__(self, test: str) -> None:
        """`test` is its name without its parameters: the figures of all of them are added up."""
        self._test = test
        self._lines: list[dict[str, str | int]] = []

    def __call__(self, promise: str, what: str, number: int) -> None:
        """Say that so many of these were done for a promise (`P1` to `P20`), and that it held each time."""
        self._lines.append({"promise": promise, "what": what, "number": number, "test": self._test})

    def tell(self) -> None:
        """Write it down, if anybody asked. One file for each process: they do not share a position."""
        if not TOLD or not self._lines:
            return
        folder = Path(TOLD)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line | {"run": this_run()}) + "\n" for line in self._lines)
