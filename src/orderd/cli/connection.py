"""How a command reaches its server."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.exits import Exit, Failure, failure_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from orderd.client import Client


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where the server is and how long to wait for it."""

    address: Annotated[
        str,
        typer.Option(
            "--address",
            envvar="ORDERD_GRPC_ADDRESS",
            parser=texts.address,
            metavar="HOST:PORT",
            help="Where orderd serves gRPC.",
        ),
    ] = "127.0.0.1:50051"
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", envvar="ORDERD_TIMEOUT", min=0.1, max=3600, metavar="SECONDS", help="Deadline of each call."
        ),
    ] = 10.0

    @asynccontextmanager
    async def client(self) -> "AsyncGenerator[Client, None]":
        """A client that asks once; a refusal ends the command with its exit code."""
        from orderd.client import Client, GapError, OrderdError

        async with Client(self.address, timeout_s=self.timeout, retry_for_s=0) as client:
            try:
                yield client
            except OrderdError as error:
                failure = failure_of(error)
                if failure.code is Exit.UNAVAILABLE and error.is_transport:
                    failure.text += f"\n  is orderd running at {self.address}? (--address, ORDERD_GRPC_ADDRESS)"
                raise failure from None
            except GapError as error:
                raise Failure(Exit.OTHER, f"GAP: {error}") from None
