"""docs/reference/events.md tells every event of both streams: check that it does, or write it.

    python scripts/check_docs_events.py            change nothing; exit 1 when the page is out of date
    python scripts/check_docs_events.py --write    write the page

All of it comes from the comments of oms.v1.
"""

import argparse
import sys
from pathlib import Path

from proto_comments import comments

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "events.md"
ORDER, CALLS, TRADE = "order.proto", "order_service.proto", "trade_service.proto"

HEAD = """\
# Events

<!-- Written by scripts/check_docs_events.py from the comments of protos/oms/v1; edit those. -->

Everything that happens is an event in one journal: what happens to orders (`OrderService/StreamOrderEvents`, `orderd
event watch`), and what the desk makes of it: decisions, trades, results, risk, positions, discrepancies
(`TradeService/StreamDeskEvents`, `orderd desk watch`). Both have one sequence, so that two events of different streams
can be put in order. An event is written in the transaction that changes what it is about, carries all of it as it is
afterwards, and is the same bytes whenever it is read.

A stream is resumed by its last `sequence`, together with the `journal_id` that its first message named. Numbers may be
skipped (they are the other stream's, or filtered), and never come twice; `previous_sequence` of each message proves
that nothing is missing.
"""


def table(title: str, file: str, name: str, *, prefix: str = "", heading: str = "") -> list[str]:
    """A section with a row for each member."""
    rows = {member: text for member, text in comments(file, name).items() if not member.endswith("_UNSPECIFIED")}
    lines = [f"\n## {title}\n", f"| {heading or 'event'} | |", "|---|---|"]
    return [*lines, *(f"| `{member.removeprefix(prefix)}` | {escaped(text)} |" for member, text in rows.items())]


def escaped(text: str) -> str:
    """A cell of a table."""
    return text.replace("|", "\\|")


def page() -> str:
    """The page as it should be."""
    lines = [HEAD.rstrip()]
    lines += table("What happens to orders", ORDER, "OrderEventType", prefix="ORDER_EVENT_TYPE_")
    lines += table("What the desk does", TRADE, "DeskEventType", prefix="DESK_EVENT_TYPE_")
    lines += table("Whose word it is", ORDER, "EventSource", prefix="EVENT_SOURCE_", heading="source")
    lines += table("An order's event", ORDER, "OrderEvent", heading="field of `OrderEvent`")
    lines += table("An event of the desk", TRADE, "DeskEvent", heading="field of `DeskEvent`")
    response = "StreamOrderEventsResponse"
    lines += table("A message of an order stream", CALLS, response, heading=f"field of `{response}`")
    response = "StreamDeskEventsResponse"
    lines += table("A message of a desk stream", TRADE, response, heading=f"field of `{response}`")
    return "\n".join([*lines, ""])


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
