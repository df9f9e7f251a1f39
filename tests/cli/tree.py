"""The command tree, as tests walk it."""

from collections.abc import Iterator
from typing import Any

import typer

from orderd.cli.main import app

Path = tuple[str, ...]


def commands() -> dict[Path, Any]:
    """Every command that does something, by its path."""
    return dict(_leaves((), typer.main.get_command(app)))


def _leaves(path: Path, command: Any) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401 - typer's own type
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, child in below.items():
        yield from _leaves((*path, name), child)
