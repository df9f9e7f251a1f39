"""`orderd config …` and `orderd version`: what this installation is and what it was told."""

import platform
from typing import Annotated

import typer

from orderd import __version__
from orderd.cli.flags import command
from orderd.cli.render import Output
from orderd.cli.settings import ConfigFile, read_settings

config = typer.Typer(no_args_is_help=True, help="The server's configuration.")


@command(config)
async def show(
    output: Output,
    file: ConfigFile = None,
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Also where each value came from.")] = False,
) -> None:
    """Print every setting as `serve` would take it. Secrets are masked."""
    settings = read_settings(file)
    origins = settings.origins()
    rows = [
        {"key": key, "value": value} | ({"origin": origins[key]} if origin else {}) for key, value in settings.values()
    ]
    await output.many(rows, dict)


def version(output: Output) -> None:
    """Print the version."""
    import grpc

    output.one({"orderd": __version__, "python": platform.python_version(), "grpcio": grpc.__version__})
