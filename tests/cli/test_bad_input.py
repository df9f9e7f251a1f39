"""Every flag of every command with a bad value: refused before anything is asked, naming the flag."""

from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.tree import commands

DECIMALS = ["x", "", "1e5", "1,5", "+1", "01", ".5", "1.", "NaN", "٣", "1" * 39, "0." + "1" * 19]
POSITIVE = [*DECIMALS, "0", "0.00", "-1"]
TIMES = ["yesterday", "", "2025-01-17", "2025-01-17T10:00:00", "2025-13-01T00:00:00Z"]
DATES = ["yesterday", "", "2025-1-7", "2025-02-30", "20250117"]
NAMES = ["", " ", "x" * 129]
SYMBOLS = ["", "x" * 33]
KEYS = ["", "a b", "a_b", "x" * 129, "é"]
WORDS = ["", "sideways"]
ADDRESSES = ["", "localhost", ":50051", "h:", "h:70000", "a b:1", "h:٣"]
COUNTS = ["0", "-1", "x", "", "1.5"]
BAD: dict[str, list[str]] = {
    "--account-id": NAMES, "--address": ADDRESSES, "--after": ["-1", "x", "", "1.5", str(2**63)],
    "--after-time": TIMES, "--asset-class": WORDS, "--before-time": TIMES, "--broker-order-id": NAMES,
    "--cash": POSITIVE, "--client-order-id": KEYS, "--created-after-time": TIMES, "--created-before-time": TIMES,
    "--decided-time": TIMES, "--decision-id": NAMES, "--expected-version": ["-1", "x", "", str(2**31)],
    "--average-fill-price": DECIMALS, "--candle-time": TIMES, "--client-trade-id": KEYS, "--entry-price": POSITIVE,
    "--equity": POSITIVE,
    "--event-type": [*WORDS, "unspecified"], "--max-candles": ["-1", "x", "", "1.5", "1000001"],
    "--on-entry-end": WORDS, "--on-partial": WORDS, "--signal-time": TIMES, "--state": [*WORDS, "unspecified"],
    "--stop-loss-price": POSITIVE, "TRADE_ID": NAMES, "DECISION_ID": KEYS, "--confidence": DECIMALS,
    "--expires-time": TIMES, "--linked-trade-id": NAMES, "--model": NAMES, "--provider": NAMES,
    "--signal": ["", "a", "=b"], "--rationale": ["x" * 8193, "\u00e4" * 4097], "--intent": ["/nowhere/intent.json"],
    "--evidence": ["", " ", "x" * 513], "--execution-id": NAMES, "--filled-quantity": DECIMALS, "--kind": WORDS,
    "--operator-name": NAMES, "--resolution": WORDS, "DISCREPANCY_ID": NAMES,
    "--expiry-date-from": DATES, "--expiry-date-to": DATES, "--grpc-address": ADDRESSES, "--http-address": ["x"],
    "--journal-id": NAMES, "--leg": ["", "AAPL", "AAPL:up", "AAPL:buy:0", "AAPL:buy:10001", "AAPL:buy:x", ":buy",
                                     "AAPL:buy:1:open", "x" * 33 + ":buy"],
    "--limit": COUNTS, "--limit-price": DECIMALS, "--listen": ADDRESSES, "--log-level": WORDS, "--notional": POSITIVE,
    "--order-class": WORDS, "--order-id": NAMES, "--output": [*WORDS, "xml"],
    "--partial-rate": ["x", "", "1.1", "-0.1"],
    "--position-intent": WORDS, "--protocol": [*WORDS, "tradier"], "--quantity": POSITIVE,
    "--reason": ["", " ", "x" * 513], "--reference-price": POSITIVE, "--request-id": KEYS,
    "--requests-per-minute": ["-1", "x", ""], "--role": WORDS, "--seed": ["x", "", "1.5"], "--sessions": WORDS,
    "--show": WORDS, "--side": WORDS, "--status": [*WORDS, "open"], "--stop-loss-limit-price": POSITIVE,
    "--stop-loss-stop-price": POSITIVE, "--stop-price": POSITIVE, "--strategy": NAMES, "--strategy-type": NAMES,
    "--symbol": SYMBOLS, "--tag": ["", "a", "=b"], "--take-profit-limit-price": POSITIVE, "--time-in-force": WORDS,
    "--timeout": ["0", "-1", "x", "", "3601", "nan"], "--trace-id": NAMES, "--trade-id": NAMES, "--trail": POSITIVE,
    "--trail-percent": POSITIVE, "--trail-price": POSITIVE, "--type": WORDS, "--underlying": SYMBOLS,
    "SYMBOL": SYMBOLS, "--valid-until-time": TIMES, "ACCOUNT_ID": NAMES, "ORDER_ID": NAMES,
    "--config": ["/nowhere/orderd.toml"], "--database-url": ["x", "postgresql+asyncpg://h/d"],
    "--data-dir": ["/dev/null/x"],
    "--quotes": ["/nowhere.csv"], "--keep-days": ["-1", "x", "", "1.5", "36501"],
    "--database": ["", " ", "postgresql+asyncpg://h/d", "mysql://h/d", "sqlite+aiosqlite:///:memory:", ":memory:"],
}  # fmt: skip
FREE = {"--key-id", "--secret-key", "--to", "--from"}
"""Any text will do, or the server (or the disk, in test_upkeep) says what it is not."""
NEEDED = {
    ("order", "get"): ["o-1"], ("order", "cancel"): ["o-1"], ("order", "events"): ["o-1"],
    ("order", "replace"): ["o-1", "--quantity", "1"], ("broker", "resume"): ["--reason", "r"],
    ("backup",): ["--to", "/nowhere/copy.db"], ("restore",): ["--from", "/nowhere/copy.db"],
    ("broker", "resolve"): ["o-1", "--reason", "r"], ("trade", "close"): ["o-1"], ("trade", "rearm"): ["o-1"],
    ("trade", "move-stop"): ["o-1", "--stop-price", "1"], ("position", "get"): ["o-1"],
    ("trade", "candle"): ["--candle-time", "2026-01-05T15:00:00Z"], ("decision", "get"): ["d-1"],
    ("decision", "approve"): ["d-1"], ("decision", "reject"): ["d-1", "--reason", "r"],
    ("order", "resolve"): ["o-1", "--resolution", "NOT_PLACED", "--reason", "r", "--evidence", "e"],
}  # fmt: skip


def name_of(parameter: Any) -> str:  # noqa: ANN401 - typer's own type
    """`--side`, or the name of an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return max(parameter.opts, key=len)  # type: ignore[no-any-return]


def cases() -> list[tuple[tuple[str, ...], str]]:
    """Every command with every flag of its own that takes a value."""
    return [
        (path, name_of(parameter))
        for path, command in commands().items()
        for parameter in command.params
        if not getattr(parameter, "is_flag", False) and name_of(parameter) not in FREE
    ]


@pytest.mark.parametrize(("path", "name"), cases(), ids=lambda part: part if isinstance(part, str) else " ".join(part))
def test_bad_values_are_refused_before_anything_is_asked(invoke: Run, path: tuple[str, ...], name: str) -> None:
    """There is no server at all: whatever is asked would end in another code."""
    for value in BAD[name]:
        needed = [word for word in NEEDED.get(path, []) if not (name.isupper() and word == "o-1")]
        ran = invoke(*path, *needed, *([value] if name.isupper() else [name, value]))
        assert (ran.code, ran.out) == (2, ""), (value, ran)
        assert name.strip("-").lower().replace("-", "_") in ran.err.lower().replace("-", "_"), value


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_unknown_flags_and_arguments(invoke: Run, path: tuple[str, ...]) -> None:
    assert invoke(*path, "--no-such-flag").code == 2
    assert invoke(*path, *NEEDED.get(path, []), "a", "b", "c").code == 2


def test_every_command_says_what_it_is_for(invoke: Run) -> None:
    for path, command in commands().items():
        ran = invoke(*path, "--help")
        assert ran.code == 0
        assert command.help
        for parameter in command.params:
            assert parameter.name == "help" or getattr(parameter, "help", "x"), (path, parameter.name)


@pytest.mark.parametrize("tags", [["--tag", "a=1", "--tag", "a=2"]])
def test_a_tag_twice(invoke: Run, tags: list[str]) -> None:
    assert invoke("order", "submit", *tags).code == 2


@pytest.mark.parametrize(
    "flags", [["--snapshot", "--after", "1"], ["--snapshot", "--until-terminal"], ["--until-terminal", "--limit", "0"]]
)
def test_flags_of_watch_that_exclude_each_other(invoke: Run, flags: list[str]) -> None:
    assert invoke("event", "watch", *flags).code == 2
