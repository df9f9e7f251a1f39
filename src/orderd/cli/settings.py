"""Reading the server's settings for a command."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli.exits import Exit, Failure

if TYPE_CHECKING:
    from orderd.config import Settings

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", envvar="ORDERD_CONFIG", metavar="FILE", help="The TOML file with the settings."),
]


def read_settings(
    file: Path | None, flags: Mapping[str, str | None] | None = None, environment: Mapping[str, str] | None = None
) -> "Settings":
    """The settings, or the end of the command with every problem they have."""
    from orderd.config import SettingsError, load

    try:
        return load(file, flags=flags, environment=environment)
    except SettingsError as error:
        count = len(error.problems)
        head = "the configuration has a problem:" if count == 1 else f"the configuration has {count} problems:"
        raise Failure(Exit.USAGE, "\n".join([head, *(f"  {problem}" for problem in error.problems)])) from None
