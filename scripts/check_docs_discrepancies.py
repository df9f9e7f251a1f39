"""docs/reference/discrepancies.md tells what may differ, what it stops and who settles it: check it, or write it.

    python scripts/check_docs_discrepancies.py            change nothing; exit 1 when the page is out of date
    python scripts/check_docs_discrepancies.py --write    write the page

The rules come from the core's table, the meanings from the comments of oms.v1.
"""

import argparse
import re
import sys
from pathlib import Path

from orderd.core.discrepancies import RULES, Effect, Settling
from orderd.core.facts import Verdicts

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "protos" / "oms" / "v1" / "broker_service.proto"
PAGE = ROOT / "docs" / "reference" / "discrepancies.md"

HEAD = """\
# Discrepancies

<!-- Written by scripts/check_docs_discrepancies.py from the core's table and broker_service.proto; edit those. -->

The broker is the truth. Where its word and the record differ and nothing explains it, the difference becomes a record:
what differs, what was expected and what was seen, where that came from, when it was opened, and when, by whom and why
it was closed. At most one record of a kind is open about an order. What a fact brings up is in the journal with that
fact, in one transaction; what a fact settles is closed with it.

```
orderd broker discrepancies                                   # what is open; --all: what was, too
orderd broker resolve DISCREPANCY_ID --reason "counted by hand"
orderd order resolve ORDER_ID --resolution ended --status canceled --reason "closed by phone" --evidence "ticket 7"
```

A difference that only a list shows is looked at once more, by a read of that very order, before it is written down.
"""

EFFECTS = {
    Effect.NONE: "nothing",
    Effect.SYMBOL_BLOCKED: "new entries in its symbol",
    Effect.ACCOUNT_HALTED: "the account",
}
SETTLINGS = {
    Settling.RESUME: "`ResumeAccount`",
    Settling.WORD: "an operator's word",
    Settling.RECORD: "the order's own record",
    Settling.COMPARISON: "a comparison",
    Settling.POSITION: "both figures, when they agree; or an operator",
}

BODY = """
## What it stops

- **Entries in its symbol** are DENIED with `SYMBOL_BLOCKED` as long as a record about the symbol is open, also after a
  restart. Cancels pass, and so does what is proven to reduce the position: then the broker's position is read at that
  moment, and what other exits have still to execute is taken off. When it cannot be read, the call ends with
  `BROKER_UNAVAILABLE` and nothing is recorded.
- **The account** is halted: its entries are DENIED with `TRADING_HALTED`; its own stops and exits, and cancels, go on
  until `ResumeAccount`.

## Who settles it

- **A comparison**: every full reconciliation reads the orders of open records again and closes what is gone, with what
  was seen. `ResolveDiscrepancy` compares first, too. What still differs on an order that is open on either side is not
  closed by hand (`DISCREPANCY_STANDS`); on an order that is over on both sides an operator's word is the last.
- **The order's own record**: closed in the same transaction as the fact that settles it.
- **Both figures**: a position is compared at the end of every full reconciliation. What the broker's list of activities
  explains (expiries, exercises, assignments, splits, fees in kind) is booked; what nothing explains in two
  reconciliations the settle time apart, with no fill on its way, is recorded, and closed as soon as both figures agree.
  An operator who resolves it books what differs by then as an adjustment.
- **An operator's word**: it happened and cannot be undone; somebody has taken note of it.

What an operator has closed is not brought up again in the same words. When nobody can reach the broker, nothing is
settled (`BROKER_UNAVAILABLE`).

## An operator's word about an order

`ResolveOrder` is for an order whose truth the broker cannot tell any more. It needs a reason and what it rests on; both
stand, with the operator's name, in the order's event RESOLVED (source OPERATOR). The broker is asked first: when it
says otherwise the call is refused (`RESOLUTION_CONTRADICTED`), and when it tells the same end by itself, that is
recorded as its word. An order on its way, or sent so lately that "not found" proves nothing, is refused
(`ORDER_IN_FLIGHT`). `expected_version` makes sure that the order is still the one that was looked at.
"""


def comments(enum: str) -> dict[str, str]:
    """By word: the comment of an enum's value."""
    text = PROTO.read_text(encoding="utf-8")
    found = re.findall(rf"((?:  // .*\n)+)  {enum}_(\w+) = \d+;", text)
    return {word: " ".join(line.strip(" /") for line in block.splitlines()) for block, word in found}


def page() -> str:
    """The page as it should be."""
    kinds, resolutions = comments("DISCREPANCY_KIND"), comments("ORDER_RESOLUTION")
    rows = [
        f"| `{kind}` | {kinds[kind]} | {EFFECTS[rule.effect]} | {SETTLINGS[rule.settling]} |"
        for kind, rule in RULES.items()
    ]
    words = [f"| `{word}` | {resolutions[word]} |" for word in Verdicts]
    table = ["\n| kind | means | stops | settled by |", "|---|---|---|---|", *rows]
    return "\n".join([HEAD.rstrip(), *table, BODY.rstrip(), "\n| resolution | means |", "|---|---|", *words, ""])


def main() -> int:
    """Check or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page")
    wanted = page()
    if parser.parse_args().write:
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)} is out of date: run python {Path(__file__).name} --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
