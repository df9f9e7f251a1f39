"""The one renderer: every answer of every command goes through it, in the format that was asked for.

stdout carries data and nothing else. JSON is protojson (lowerCamelCase, decimals as strings, absent fields left out);
CSV has the same names and a column for every field; tables are for people and may change.
"""

import csv
import json
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from orderd.cli.columns import Column

ANY_WIDTH = 100_000


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


Answer = "Message | Mapping[str, Any]"


@dataclass(frozen=True, kw_only=True)
class Output:
    """How answers are written."""

    output: Annotated[
        Format | None,
        typer.Option(
            "--output",
            "-o",
            envvar="ORDERD_OUTPUT",
            case_sensitive=False,
            help="How to write the answer. Default: table on a terminal, otherwise json (jsonl for streams).",
        ),
    ] = None

    def one(self, answer: "Message | Mapping[str, Any]") -> None:
        """Write one answer."""
        match self._format(Format.JSON):
            case Format.JSON:
                _line(json.dumps(_data(answer), ensure_ascii=False, indent=2))
            case Format.JSONL:
                _line(_jsonl(answer))
            case Format.CSV:
                _csv([answer])
            case Format.TABLE:
                _sheet(answer)

    async def many(self, answers: "AsyncIterable[Message] | Iterable[Message | Mapping[str, Any]]", kind: type) -> None:
        """Write a list whose items are of type `kind` (which gives an empty list its columns)."""
        match self._format(Format.JSON):
            case Format.JSON:
                await _array(answers)
            case Format.JSONL:
                async for answer in _each(answers):
                    _line(_jsonl(answer))
            case Format.CSV:
                _csv([answer async for answer in _each(answers)], kind)
            case Format.TABLE:
                _grid([answer async for answer in _each(answers)], kind)

    def stream(self, kind: type) -> "Stream":
        """A writer for a list without an end: each item is on its way when the call returns."""
        return Stream(self._format(Format.JSONL), kind)

    def _format(self, piped: Format) -> Format:
        return self.output or (Format.TABLE if sys.stdout.isatty() else piped)


class Stream:
    """Writes items one by one."""

    def __init__(self, form: Format, kind: type) -> None:
        """A header goes out with the first item only, so that nothing is written before there is something."""
        self._form = form
        self._kind = kind
        self._is_first = True

    def write(self, answer: "Message") -> None:
        """Write one item and flush."""
        match self._form:
            case Format.JSON | Format.JSONL:
                _line(_jsonl(answer))
            case Format.CSV:
                _csv([answer], self._kind, with_header=self._is_first)
            case Format.TABLE:
                self._row(answer)
        self._is_first = False
        sys.stdout.flush()

    def _row(self, answer: "Message") -> None:
        from orderd.cli.columns import WIDTHS, table_columns

        columns = table_columns(type(answer))
        widths = [max(WIDTHS.get(column.name, 0), len(column.name)) for column in columns]
        if self._is_first:
            _line("  ".join(f"{column.name:<{width}}" for column, width in zip(columns, widths, strict=True)).rstrip())
        data = _data(answer)
        cells = [f"{column.cell(data):<{width}}" for column, width in zip(columns, widths, strict=True)]
        _line("  ".join(cells).rstrip())


# --- one item -----------------------------------------------------------------------------------------


def _data(answer: "Message | Mapping[str, Any]", *, with_defaults: bool = False) -> Mapping[str, Any]:
    if isinstance(answer, Mapping):
        return answer
    from orderd.cli.columns import to_json

    return to_json(answer, with_defaults=with_defaults)


def _jsonl(answer: "Message | Mapping[str, Any]") -> str:
    return json.dumps(_data(answer), ensure_ascii=False, separators=(",", ":"))


def _line(text: str, out: TextIO | None = None) -> None:
    (out or sys.stdout).write(text + "\n")


async def _each(
    answers: "AsyncIterable[Message] | Iterable[Message | Mapping[str, Any]]",
) -> "AsyncIterator[Message | Mapping[str, Any]]":
    if isinstance(answers, AsyncIterable):
        async for answer in answers:
            yield answer
    else:
        for given in answers:
            yield given


# --- lists --------------------------------------------------------------------------------------------


async def _array(answers: "AsyncIterable[Message] | Iterable[Message | Mapping[str, Any]]") -> None:
    separator = "["
    async for answer in _each(answers):
        _line(separator)
        sys.stdout.write(indent(json.dumps(_data(answer), ensure_ascii=False, indent=2), "  "))
        separator = ","
    _line("[]" if separator == "[" else "\n]")


def _csv(
    answers: "Sequence[Message | Mapping[str, Any]]", kind: type | None = None, *, with_header: bool = True
) -> None:
    from orderd.cli.columns import as_text

    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = _columns(answers, kind, is_whole=True)
    if with_header:
        writer.writerow(name for name, _ in columns)
    for answer in answers:
        data = _data(answer, with_defaults=True)
        writer.writerow(column.cell(data) if column else as_text(data.get(name)) for name, column in columns)


def _columns(
    answers: "Sequence[Message | Mapping[str, Any]]", kind: type | None, *, is_whole: bool
) -> "list[tuple[str, Column | None]]":
    """Name and column; plain rows have names only."""
    from orderd.cli.columns import all_columns, table_columns

    first = answers[0] if answers else None
    if isinstance(first, Mapping):
        return [(name, None) for name in first]
    message = type(first) if first is not None else kind
    if message is None or not hasattr(message, "DESCRIPTOR"):
        return []
    columns = all_columns(message) if is_whole else table_columns(message)
    return [(column.name, column) for column in columns]


def _grid(answers: "Sequence[Message | Mapping[str, Any]]", kind: type) -> None:
    """A table with a row for each item; columns that are empty everywhere are left out on a terminal."""
    from rich.table import Table
    from rich.text import Text

    from orderd.cli.columns import as_text

    columns = _columns(answers, kind, is_whole=False)
    rows: list[list[str]] = []
    for answer in answers:
        data = _data(answer)
        rows.append([column.cell(data) if column else as_text(data.get(name)) for name, column in columns])
    used = [i for i in range(len(columns)) if not rows or any(row[i] for row in rows)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i in used:
        table.add_column(columns[i][0])
    for row in rows:
        table.add_row(*(Text(row[i]) for i in used))
    _print(table)


def _sheet(answer: "Message | Mapping[str, Any]") -> None:
    """One item, a line for each value it has."""
    from rich.table import Table
    from rich.text import Text

    from orderd.cli.columns import as_text

    data = _data(answer)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, column in _columns([answer], None, is_whole=True):
        cell = column.cell(data) if column else as_text(data.get(name))
        if cell:
            table.add_row(Text(name, style="bold"), Text(cell))
    _print(table)


def _print(table: Any) -> None:  # noqa: ANN401 - rich is imported only when a table is drawn
    """As wide as the table needs to be, on a terminal too: nobody can copy an id that is cut or folded."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=ANY_WIDTH, highlight=False)
    with console.capture() as drawn:
        console.print(table, soft_wrap=True)
    for line in drawn.get().removesuffix("\n").split("\n"):
        _line(line.rstrip())
