"""Commands from functions: a parameter whose type is a dataclass stands for its fields, each of them a flag.

So every command says in its signature which groups of flags it takes, and each flag is written once. A command may be
async; whatever it raises that a user can meet becomes a line on stderr and an exit code.
"""

import asyncio
import inspect
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, get_origin, get_type_hints

import typer

from orderd.cli.exits import Exit, Failure

Command = Callable[..., Coroutine[Any, Any, None] | None]


def command(app: typer.Typer, name: str | None = None) -> Callable[[Command], Command]:
    """Add a function to a command group."""

    def add(function: Command) -> Command:
        hints = get_type_hints(function, include_extras=True)
        groups = {key: hint for key, hint in hints.items() if is_dataclass(_bare(hint)) and key != "return"}

        def run(**given: object) -> None:
            values = {name: "" if value is None and name in texts else value for name, value in given.items()}
            built = {key: group(**{f.name: values[f.name] for f in fields(group)}) for key, group in groups.items()}
            plain = {key: values[key] for key in hints if key in values and key not in groups}
            _end(function, plain | built)

        parameters = list(_parameters(function, hints, groups))
        # An empty text means "not given". Typer would check it like a given one, so it never sees it.
        texts = {parameter.name for parameter in parameters if parameter.default == ""}
        shown = [p.replace(default=None) if p.name in texts else p for p in parameters]
        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__doc__ = _as_paragraphs(inspect.getdoc(function) or "")
        run.__name__ = function.__name__
        run.__annotations__ = {}
        app.command(name)(run)
        return function

    return add


def _as_paragraphs(text: str) -> str:
    """The docstring without the breaks of its lines: the help wraps it to the terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _bare(hint: object) -> object:
    return hint.__origin__ if get_origin(hint) is Annotated else hint  # type: ignore[attr-defined]


def _parameters(function: Command, hints: Mapping[str, Any], groups: Mapping[str, Any]) -> Iterator[inspect.Parameter]:
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in groups:
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            continue
        field_hints = get_type_hints(groups[name], include_extras=True)
        for field in fields(groups[name]):
            yield inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_default(field),
                annotation=field_hints[field.name],
            )


def _default(field: "Field[Any]") -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return inspect.Parameter.empty if field.default is MISSING else field.default


def _end(function: Command, arguments: Mapping[str, object]) -> None:
    """Run it, and turn how it ends into an exit code."""
    try:
        ran = function(**arguments)
        if ran is not None:
            asyncio.run(ran)
        sys.stdout.flush()
    except Failure as failure:
        say(failure.text)
        raise typer.Exit(failure.code) from None
    except BrokenPipeError:
        # Whoever read has seen enough. Nothing may be written any more, not even by the interpreter's own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.OK) from None


def say(text: str) -> None:
    """A line for people, on stderr."""
    if text:
        typer.echo(text, err=True)
