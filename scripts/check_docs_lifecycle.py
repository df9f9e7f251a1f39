"""docs/lifecycle.md draws what orderd.core.table declares: check that it does, or draw it.

    python scripts/check_docs_lifecycle.py            change nothing; exit 1 when a drawing is out of date
    python scripts/check_docs_lifecycle.py --write    draw

Only what stands between the two markers of a block is written; the words around them are people's.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from orderd.core.order import ENDED, OrderState
from orderd.core.table import Move, machine

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "lifecycle.md"
BLOCK = re.compile(r"(<!-- drawn: (?P<name>\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

BY_PROOF = frozenset(move for move in Move if move.name.startswith(("LATE_", "REVIVE_", "BUST_")))

Row = tuple[str, str, str]


def rows() -> list[Row]:
    """(from, move, to) of every row of the declared machine, in the order of states and moves."""
    states, moves = [state.value for state in OrderState], [move.value for move in Move]
    declared = [
        (str(row.source), event.name, str(row.dest))
        for event in machine().events.values()
        for several in event.transitions.values()
        for row in several
    ]
    return sorted(declared, key=lambda row: (states.index(row[0]), moves.index(row[1])))


def is_by_proof(row: Row) -> bool:
    """Whether it leaves an end, or takes back what was executed."""
    return Move(row[1]) in BY_PROOF or OrderState(row[0]) in ENDED


def edges(found: Iterable[Row]) -> Iterator[str]:
    """One arrow from state to state, named by all the moves that take it."""
    names: dict[tuple[str, str], list[str]] = {}
    for source, move, dest in found:
        names.setdefault((source, dest), []).append(move)
    for (source, dest), moves in names.items():
        yield f"    {source} --> {dest}: {', '.join(moves)}"


def diagram(found: list[Row], *, begins: bool) -> str:
    """A mermaid state diagram; `begins` draws where an order begins and where it has ended."""
    body = list(edges(found))
    if begins:
        reached = {dest for _, _, dest in found}
        body.insert(0, f"    [*] --> {OrderState.CREATED}")
        body += [f"    {state} --> [*]" for state in OrderState if state in ENDED and state in reached]
    return "\n".join(["```mermaid", "stateDiagram-v2", *body, "```", ""])


def table(found: list[Row]) -> str:
    """The rows as a table: from, and where each move leads."""
    lines = ["| from | move → to |", "|---|---|"]
    for state in OrderState:
        moves = [f"{move} → {dest}" for source, move, dest in found if source == state]
        lines.append(f"| {state} | {' · '.join(moves) or 'nothing: it stays'} |")
    return "\n".join([*lines, ""])


def page(text: str) -> str:
    """The page with every block drawn anew."""
    found = rows()
    drawn = {
        "life": diagram([row for row in found if not is_by_proof(row)], begins=True),
        "proof": diagram([row for row in found if is_by_proof(row)], begins=False),
        "table": table(found),
    }
    missing = drawn.keys() - {match["name"] for match in BLOCK.finditer(text)}
    if missing:
        raise ValueError(f"{PAGE.name} has no block for {', '.join(sorted(missing))}")
    return BLOCK.sub(lambda match: f"{match[1]}{drawn[match['name']]}{match[3]}", text)


def main() -> int:
    """Check or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="draw")
    is_writing = parser.parse_args().write
    text = PAGE.read_text(encoding="utf-8")
    wanted = page(text)
    if is_writing:
        PAGE.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)} is out of date: run python {Path(__file__).name} --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
