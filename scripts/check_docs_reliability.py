"""docs/reliability.md is docs/reliability.json (what the long runs reached) under the promises: check it, or write it.

python scripts/check_docs_reliability.py               change nothing; exit 1 when the page is out of date
python scripts/check_docs_reliability.py --write       write the page
python scripts/check_docs_reliability.py --take DIR    take over what a run reached (see tests/reach.py), then write
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
FIGURES = ROOT / "docs" / "reliability.json"

PROMISES = {
    "P1": "an acknowledged order survives kill -9 and power loss",
    "P2": "one intent never becomes two live broker orders",
    "P3": "nothing is sent before its record is durable",
    "P4": "an unknown outcome is shown as UNKNOWN until there is evidence",
    "P5": "no fill is lost, none is booked twice; busts and corrections keep the trail",
    "P6": "one total order of events, no gap, no repeat, resumable anywhere, identical on re-read",
    "P7": "state and event are one transaction",
    "P8": "the broker is the truth",
    "P9": "one process trades an account",
    "P10": "cancel and halt work in every degraded mode",
    "P11": "keys never expire; the same key with other content is an error; a denied or rejected order stays so",
    "P12": "fail-stop on storage errors",
    "P13": "bounded memory, disk and retries",
    "P14": "secrets never leave",
    "P15": "recovery is fast and re-entrant",
    "P16": "any simulated failure replays from its seed",
    "P17": "exact decimals end to end",
    "P18": "clocks may lie",
    "P19": "upgrades are safe",
    "P20": "honest limits",
}

HEAD = """\
# What orderd promises, and how far each promise was tried

<!-- Written by scripts/check_docs_reliability.py from docs/reliability.json; do not edit. -->

Each figure is what a run of `make prove` reached without a breach, on the day and at the commit that stand beside it:
the sum over all parameters of the test. `make test` runs the same tests a tenth of the way. A figure is written down by
the test itself, after it has passed.

"""

TAIL = """
## What is not promised

- **More than the disk keeps.** Power loss is survived as far as the disk keeps what it said was synced, and leaves the
  bytes beside a write alone. There is no standby: a lost disk takes what came after the last backup with it.
- **A broker that cannot be asked.** Where a broker neither refuses a client order id twice nor finds orders by it, an
  entry whose answer was lost is never sent again, and its outcome may stay for an operator to say. A broker that takes
  an order and answers with its own words for "not taken" cannot be caught in time.
- **What a broker tells nobody.** A bust or correction that no frame told us of is in none of Alpaca's lists. Where it
  shows in a quantity or an average it opens a record; otherwise nobody can know.
- **A paper account that was reset.** Its orders are gone at the broker: the account stops, and an operator decides.
- **What only the lost journal knew.** Orders taken up after a restore keep their client order ids, and lose their
  trace, decision, strategy and tags.
- **Rot in parts already verified**, when the file's time does not change: `orderd doctor` finds it, a start does not.
"""

Figure = tuple[str, str, str]
"""Promise, what was counted, test."""


Reach = tuple[int, str]
"""How far it went, and which run that was."""


def known() -> dict[Figure, Reach]:
    """The figures on record."""
    rows = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else []
    return {(row["promise"], row["what"], row["test"]): (row["number"], row["run"]) for row in rows}


def reached(folder: Path) -> dict[Figure, Reach]:
    """The figures of one run. A test that ran again has all its figures from there."""
    counted: Counter[Figure] = Counter()
    runs: dict[Figure, str] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            figure = row["promise"], row["what"], row["test"]
            counted[figure] += row["number"]
            runs[figure] = max(row["run"], runs.get(figure, ""))
    return {figure: (number, runs[figure]) for figure, number in counted.items()}


def take(folder: Path) -> None:
    """Put a run's figures in the place of those that its tests had."""
    fresh = reached(folder)
    tests = {test for _, _, test in fresh}
    kept = {figure: number for figure, number in known().items() if figure[2] not in tests}
    rows = [
        {"promise": promise, "what": what, "test": test, "number": number, "run": run}
        for (promise, what, test), (number, run) in sorted((kept | fresh).items(), key=lambda item: order(item[0]))
    ]
    FIGURES.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def order(figure: Figure) -> tuple[int, str, str]:
    """The order of the page."""
    return int(figure[0].removeprefix("P")), figure[1], figure[2]


def command(test: str) -> str:
    """What runs it."""
    return f'`make prove ARGS="-k {test.rpartition("::")[2]}"`'


def page(figures: Mapping[Figure, Reach]) -> Iterator[str]:
    """The lines of the page."""
    yield HEAD
    yield "| promise | | what was done | reached | run | test | command |\n|---|---|---|---:|---|---|---|\n"
    for promise, text in PROMISES.items():
        told = False
        for _, what, test in sorted((figure for figure in figures if figure[0] == promise), key=order):
            first = (promise, text) if not told else ("", "")
            told = True
            number, run = figures[promise, what, test]
            name = f"`{test.removeprefix('tests/')}`"
            yield f"| {first[0]} | {first[1]} | {what} | {number:,} | {run} | {name} | {command(test)} |\n"
        if not told:
            where = "told below" if promise == "P20" else "no run on record"
            yield f"| {promise} | {text} | {where} | | | | |\n"
    yield TAIL


def defects(figures: Mapping[Figure, Reach]) -> Iterator[str]:
    """Figures of tests or promises that do not exist (any more)."""
    for promise, _, test in figures:
        path, _, name = test.partition("::")
        file = ROOT / path
        if promise not in PROMISES:
            yield f"{promise}: no such promise"
        if not file.exists() or not re.search(rf"def {re.escape(name.rpartition('::')[2])}\b", file.read_text("utf-8")):
            yield f"{test}: no such test"


def main() -> int:
    """Check, write or take."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--write", action="store_true", help="write the page")
    parser.add_argument("--take", type=Path, metavar="DIR", help="take over what a run reached, then write")
    asked = parser.parse_args()
    if asked.take is not None:
        take(asked.take)
    figures = known()
    text = "".join(page(figures))
    if asked.write or asked.take is not None:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} is out of date: python scripts/check_docs_reliability.py --write")
        return 1
    wrong = list(defects(figures))
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
