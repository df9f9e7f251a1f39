"""docs/brokers/alpaca.md says what the code does: its tables are compared with the code's."""

import inspect
import re

import pytest

from orderd.brokers.alpaca import errors, rules, words
from tests.brokers.reference import ROOT

PAGE = (ROOT / "docs" / "brokers" / "alpaca.md").read_text(encoding="utf-8")


def table(name: str) -> list[list[str]]:
    """The cells of a marked table, without its heading; code marks and escapes taken off the last cell only."""
    found = re.search(rf"<!-- table: {name} -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert found, name
    rows = [line for line in found[1].splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_the_status_table_is_the_codes() -> None:
    told = {word: phase for cell, phase in table("status") for word in re.findall(r"`(\w+)`", cell)}
    assert told == {word: phase.value for word, phase in words.PHASES.items()}


def test_the_event_table_is_the_codes() -> None:
    assert {event.strip("`"): kind for event, kind in table("events")} == {
        event: kind.value for event, kind in words.KINDS.items()
    }


@pytest.mark.parametrize(
    ("call", "refusals"), [("submit", errors.SUBMIT), ("replace", errors.REPLACE), ("cancel", errors.CANCEL)]
)
def test_the_refusal_table_is_the_codes(call: str, refusals: errors.Table) -> None:
    told = [
        (int(status), pattern.removeprefix("`").removesuffix("`"))
        for calls, status, pattern in table("refusals")
        if calls == "any" or call in calls.split(", ")
    ]
    assert told == list(refusals)


def test_every_rule_is_told_and_no_other() -> None:
    told = {name for cell, _ in table("rules") for name in re.findall(r"`([A-Z_]+)`", cell)}
    source = inspect.getsource(rules)
    made = set(re.findall(r'"([A-Z_]+): ', source)) | {"BRACKET", "OCO", "OTO"}
    assert told == made
