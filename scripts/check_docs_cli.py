"""docs/reference/cli.md is the command tree, in words: check that it is, or write it.

python scripts/check_docs_cli.py            change nothing; exit 1 when the page is out of date
python scripts/check_docs_cli.py --write    write the page
"""

import argparse
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer

from orderd.cli.exits import MEANING
from orderd.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "cli.md"

HEAD = """\
# The command line

<!-- Written by scripts/check_docs_cli.py from the command tree in src/orderd/cli; edit that. -->

`orderd COMMAND --help` says the same as this page. Words such as sides and types are taken in any case; times are
ISO 8601 with a zone; prices and quantities are decimals without an exponent.

stdout carries data and nothing else, stderr the rest. JSON is protojson: names in lowerCamelCase, decimals and 64-bit
numbers as strings, enums by name, absent fields left out. CSV has the same names and a column for every field of the
type, whatever the answer holds; its enums are without their prefix. Tables are for people and may change.

A flag goes before its variable. `--address` and `--timeout` are on every command that asks a server. `orderd --version`
prints the version and nothing else.

## Exit codes

| code | means |
|---|---|
"""


def leaves(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - typer's own
    """Every command that does something, by its path."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    else:
        for name, child in below.items():
            yield from leaves((*path, name), child)


def value(parameter: Any) -> str:  # noqa: ANN401 - typer's own
    """What a flag takes."""
    annotation = parameter.type_descriptor.annotation
    kind = next(iter(get_args(annotation)), annotation)  # of a flag that is repeated: of one of its values
    if getattr(parameter, "is_flag", False):
        return ""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " ".join(f"`{choice.value.lower()}`" for choice in kind)
    return f"`{parameter.metavar.strip('[]')}`"


def notes(parameter: Any) -> str:  # noqa: ANN401 - typer's own
    """What it is for, where else it can be set, and what it is when it is not."""
    said = [parameter.help]
    if parameter.required:
        said.append("Required.")
    if getattr(parameter, "envvar", None):
        said.append(f"Variable `{parameter.envvar}`.")
    default = parameter.default
    if isinstance(default, Enum):
        default = str(default.value).lower()
    if default not in (None, False, "", [], ()) and not parameter.required and str(default) != "Sentinel.UNSET":
        said.append(f"Default `{default}`.")
    return " ".join(said).replace("|", "\\|")


def row(parameter: Any) -> str:  # noqa: ANN401 - typer's own
    """One line of a command's table."""
    is_argument = parameter.param_type_name == "argument"
    names = [parameter.metavar] if is_argument else [*parameter.opts, *parameter.secondary_opts]
    cells = [" ".join(f"`{name}`" for name in names), "" if is_argument else value(parameter), notes(parameter)]
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """The page as it should be."""
    parts = [HEAD, *(f"| {int(code)} | {text} |\n" for code, text in MEANING.items())]
    for path, command in leaves((), typer.main.get_command(app)):
        rows = [row(parameter) for parameter in command.params]
        table = "\n".join(["| flag | value | |", "|---|---|---|", *rows])
        parts.append(f"\n## orderd {' '.join(path)}\n\n{command.help}\n\n{table}\n")
    return "".join(parts)


def main() -> int:
    """Check or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page")
    wanted = page()
    if parser.parse_args().write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)} is out of date: run python scripts/{Path(__file__).name} --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
