"""docs/source-of-truth.md tells whose word each field is and what the broker's words are taken for: check or draw it.

    python scripts/check_docs_source.py            change nothing; exit 1 when the page is out of date
    python scripts/check_docs_source.py --write    draw the tables of words

Drawn from the adapter's tables. The tables of fields are people's: each field of a message has to stand in its table
once, and nothing else may.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from google.protobuf.message import Message

from oms.v1 import order_pb2, position_service_pb2, trade_service_pb2
from orderd.brokers.alpaca import words
from orderd.core.order import Phase
from orderd.ports import ReportKind

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "source-of-truth.md"
BLOCK = re.compile(r"(<!-- drawn: (?P<name>[\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
FIELDS = re.compile(r"<!-- fields: (?P<name>[\w.]+) -->\n(?P<table>.*?)<!-- end -->", re.DOTALL)
MESSAGES: Mapping[str, type[Message]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        order_pb2.Order,
        order_pb2.Fill,
        trade_service_pb2.Trade,
        trade_service_pb2.CompletedTrade,
        position_service_pb2.Position,
    )
}

BECOMES = {
    Phase.QUEUED: "SUBMITTED: it has it, and does not work it yet",
    Phase.WORKING: "ACCEPTED; PARTIALLY_FILLED when something is filled",
    Phase.FILLED: "FILLED; executions that are missing are read, or inferred from its total",
    Phase.CANCELED: "CANCELED",
    Phase.EXPIRED: "EXPIRED",
    Phase.REJECTED: "REJECTED",
    Phase.REPLACED: "no end: the order goes on under its successor's id",
    Phase.PENDING_CANCEL: "the state stays; `pending_cancel`",
    Phase.PENDING_REPLACE: "the state stays; `pending_replace`",
    Phase.UNKNOWN: "the state stays",
}
"""What an order's state becomes, by where the broker's word puts it."""
KINDS = {
    ReportKind.BUST: "the execution it names is taken back: FILL_BUSTED",
    ReportKind.CORRECT: "the execution it names has another quantity or price: FILL_CORRECTED",
    ReportKind.CANCEL_REJECTED: "the cancel was refused: CANCEL_REFUSED",
    ReportKind.REPLACE_REJECTED: "the replace was refused: REPLACE_REFUSED",
}


def status_table() -> Iterator[str]:
    """Alpaca's status words."""
    yield from ("| `status` of an order at Alpaca | state here |", "|---|---|")
    for phase, meaning in BECOMES.items():
        said = [f"`{word}`" for word, found in words.PHASES.items() if found is phase]
        if said:
            yield f"| {' '.join(said)} | {meaning} |"


def events_table() -> Iterator[str]:
    """Alpaca's stream events."""
    yield from ("| event of its stream | taken for |", "|---|---|")
    yield f"| {' '.join(f'`{word}`' for word in sorted(words.FILL_EVENTS))} | an execution: FILL |"
    for word, kind in words.KINDS.items():
        yield f"| `{word}` | {KINDS[kind]} |"
    yield "| every other, known or not | what the order in it says, by the table above |"


def terms_table() -> Iterator[str]:
    """Alpaca's words for terms."""
    yield from ("| Alpaca says | here |", "|---|---|")
    for table in (words.SIDES, words.TYPES, words.TIMES_IN_FORCE, words.CLASSES, words.INTENTS, words.ASSET_CLASSES):
        for word, meaning in table.items():
            yield f"| {f'`{word}`' if word else 'nothing'} | {type(meaning).__name__}.{meaning} |"


DRAWN = {"alpaca-status": status_table, "alpaca-events": events_table, "alpaca-terms": terms_table}


def drawn(name: str) -> str:
    """A table, its last line ended."""
    return "".join(f"{row}\n" for row in DRAWN[name]())


def page(text: str) -> str:
    """The page with every table of words drawn anew."""
    missing = DRAWN.keys() - {match["name"] for match in BLOCK.finditer(text)}
    if missing or set(BECOMES) != set(Phase):
        raise ValueError(f"not told: {', '.join(sorted(missing)) or 'a phase'}")
    return BLOCK.sub(lambda match: f"{match[1]}{drawn(match['name'])}{match[4]}", text)


def wrong_fields(text: str) -> Iterator[str]:
    """What the tables of fields leave out, tell twice, or make up."""
    told = {match["name"]: re.findall(r"`(\w+)`", _first_cells(match["table"])) for match in FIELDS.finditer(text)}
    for name in MESSAGES.keys() ^ told.keys():
        yield f"{name}: no table, or no such message"
    for name in MESSAGES.keys() & told.keys():
        fields = [field.name for field in MESSAGES[name].DESCRIPTOR.fields]
        yield from (f"{name}.{field} is not told" for field in fields if field not in told[name])
        yield from (f"{name}.{field} does not exist" for field in told[name] if field not in fields)
        yield from (f"{name}.{field} is told twice" for field in set(told[name]) if told[name].count(field) > 1)


def _first_cells(table: str) -> str:
    return "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))


def main() -> int:
    """Check or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="draw")
    is_writing = parser.parse_args().write
    text = PAGE.read_text(encoding="utf-8")
    wanted = page(text)
    problems = sorted(wrong_fields(text))
    if is_writing:
        PAGE.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        problems.append(f"out of date: run python {Path(__file__).name} --write")
    for problem in problems:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)}: {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
