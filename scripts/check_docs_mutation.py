"""docs/mutation.md is docs/mutation.json (what a run of `make mutate` found) with a reason beside each survivor.

    python scripts/check_docs_mutation.py            change nothing; exit 1 when the page is out of date
    python scripts/check_docs_mutation.py --write    write the page

The reasons are kept in tests/mutation/reasons.json, by function and change, so that they outlive the numbering of the
tool. A survivor without a reason needs a test or a reason.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "mutation.md"
FIGURES = ROOT / "docs" / "mutation.json"
REASONS = ROOT / "tests" / "mutation" / "reasons.json"
WANTED_PERCENT = 85
WANTED_SAMPLE = 400

HEAD = """\
# Mutants of core and risk, and those that survived

<!-- Written by scripts/check_docs_mutation.py from docs/mutation.json and tests/mutation/reasons.json; do not edit. -->

`make mutate MINUTES=20` lets mutmut change every function of `orderd.core` and `orderd.risk` in every small way it
knows (an operator, a number, a word, an argument left out, a branch taken always), picks a sample of those mutants by a
seed, some from every module, and runs the tests of the two rooms that reach each. A mutant is killed when one of them
fails. What survives either changes nothing that anybody could see, or shows what no test looks at; each stands below
with its reason.

"""


def change(row: dict[str, str]) -> tuple[str, str, str]:
    """What a survivor is known by."""
    return row["function"], row["was"], row["becomes"]


def reasons() -> dict[tuple[str, str, str], str]:
    """By change."""
    rows = json.loads(REASONS.read_text(encoding="utf-8")) if REASONS.exists() else []
    return {change(row): row["reason"] for row in rows}


def page(figures: dict[str, Any], known: dict[tuple[str, str, str], str]) -> Iterator[str]:
    """The lines of the page."""
    modules = figures["modules"]
    tried, killed, made = (sum(row[name] for row in modules) for name in ("tried", "killed", "mutants"))
    yield HEAD
    yield f"Of {made:,} mutants, {tried:,} were tried (seed {figures['seed']}): {killed:,} killed, "
    yield f"{percent(killed, tried)} %.\n\n"
    yield "| module | mutants | tried | killed | % |\n|---|---:|---:|---:|---:|\n"
    for row in modules:
        share = percent(row["killed"], row["tried"])
        yield f"| `{row['module']}` | {row['mutants']} | {row['tried']} | {row['killed']} | {share} |\n"
    yield "\n## Survivors\n"
    for row in figures["survivors"]:
        yield f"\n**`{row['function']}`**: {known.get(change(row), 'no reason yet')}\n\n"
        yield f"```diff\n- {row['was']}\n+ {row['becomes']}\n```\n"


def percent(part: int, whole: int) -> str:
    """With one digit; empty when nothing was tried."""
    return f"{100 * part / whole:.1f}" if whole else ""


def defects(figures: dict[str, Any], known: dict[tuple[str, str, str], str]) -> Iterator[str]:
    """What is wrong with the run on record."""
    tried = sum(row["tried"] for row in figures["modules"])
    killed = sum(row["killed"] for row in figures["modules"])
    if tried < WANTED_SAMPLE:
        yield f"only {tried} mutants were tried"
    if 100 * killed < WANTED_PERCENT * tried:
        yield f"only {percent(killed, tried)} % of the mutants were killed"
    for row in figures["survivors"]:
        if change(row) not in known:
            yield f"survived without a reason: {row['function']}\n  - {row['was']}\n  + {row['becomes']}"


def main() -> int:
    """Check or write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--write", action="store_true", help="write the page")
    figures, known = json.loads(FIGURES.read_text(encoding="utf-8")), reasons()
    text = "".join(page(figures, known))
    if parser.parse_args().write:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} is out of date: python scripts/check_docs_mutation.py --write")
        return 1
    wrong = list(defects(figures, known))
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
