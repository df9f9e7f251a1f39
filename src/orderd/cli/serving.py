"""`orderd serve`, `orderd dev` and `orderd venue`: the processes that stay. Each says when it is ready, on stdout."""

import sys
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.exits import Exit, Failure
from orderd.cli.flags import say
from orderd.cli.intent import option
from orderd.cli.settings import ConfigFile, read_settings

if TYPE_CHECKING:
    from subprocess import Popen

    from orderd.app import Ready
    from orderd.config import Settings


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Protocol(StrEnum):
    ALPACA = "alpaca"
    TRADIER = "tradier"


class Sessions(StrEnum):
    ALWAYS = "always"
    NYSE = "nyse"


def serve(
    config: ConfigFile = None,
    database_url: Annotated[str | None, option("The journal.", metavar="URL")] = None,
    grpc_address: Annotated[str | None, option("Where gRPC is served.", metavar="HOST:PORT")] = None,
    http_address: Annotated[
        str | None, option('Where metrics are served over HTTP; "" is off.', metavar="HOST:PORT")
    ] = None,
    log_level: Annotated[Level | None, option("How much is logged on stderr.")] = None,
) -> None:
    """Serve the configured accounts until SIGTERM.

    Prints one JSON line {"event":"ready", ...} on stdout when it serves. A flag goes before the variable ORDERD_...,
    the variable before the file.
    """
    flags = {
        "database_url": database_url,
        "grpc_address": grpc_address,
        "http_address": http_address,
        "log_level": log_level,
    }
    settings = read_settings(config, flags)
    from orderd import app

    raise typer.Exit(app.run(settings))


def dev(
    data_dir: Annotated[Path, option("Where the journal is kept, as dev.db.", metavar="DIR")] = Path("var"),
    database_url: Annotated[
        str,
        typer.Option(envvar="ORDERD_DATABASE_URL", metavar="URL", help="The journal, instead of --data-dir."),
    ] = "",
    grpc_address: Annotated[
        str,
        typer.Option(
            envvar="ORDERD_GRPC_ADDRESS", parser=texts.address, metavar="HOST:PORT", help="Where gRPC is served."
        ),
    ] = "127.0.0.1:50051",
    http_address: Annotated[
        str,
        typer.Option(
            envvar="ORDERD_HTTP_ADDRESS",
            parser=texts.address_or_off,
            metavar="HOST:PORT",
            help='Where metrics are served; "" is off.',
        ),
    ] = "127.0.0.1:8051",
    log_level: Annotated[
        Level, typer.Option(envvar="ORDERD_LOG_LEVEL", case_sensitive=False, help="How much is logged on stderr.")
    ] = Level.WARNING,
    *,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Let a small bot trade on it.")] = False,
) -> None:
    """Serve one simulated account: its venue is inside this process, and nothing leaves the machine.

    Prints one JSON line {"event":"ready", ...} on stdout when it serves, and what to try next on stderr.
    """
    settings = _dev_settings(
        database_url=database_url or _journal_in(data_dir),
        grpc_address=grpc_address,
        http_address=http_address,
        log_level=log_level,
    )
    from orderd import app

    bots: list[Popen[bytes]] = []

    def on_ready(ready: "Ready") -> None:
        app.print_ready(ready)
        say(hints(ready.grpc_address))
        if demo:
            bots.append(_start_bot(ready.grpc_address))

    try:
        code = app.run(settings, on_ready=on_ready)
    finally:
        for bot in bots:
            bot.terminate()
            bot.wait()
    if code == 0:
        say("orderd has stopped; the next start goes on from its journal.")
    raise typer.Exit(code)


def _journal_in(data_dir: Path) -> str:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{data_dir} cannot be made: {error.strerror}", param_hint="--data-dir") from None
    return f"sqlite+aiosqlite:///{data_dir / 'dev.db'}"


def _dev_settings(**flags: str) -> "Settings":
    """One simulated account, whatever files and other variables say: those could name a real one."""
    nothing_else = {"ORDERD_ACCOUNTS__PAPER__BROKER": "simulated"}
    return read_settings(None, flags, environment=nothing_else)


def hints(address: str) -> str:
    """What to try next."""
    where = "" if address == "127.0.0.1:50051" else f" --address {address}"
    return "\n".join(
        [
            f"orderd serves gRPC at {address}: account paper at a simulated venue; nothing leaves this machine.",
            "Try, in another terminal:",
            f"  .venv/bin/orderd event watch{where}",
            f"  .venv/bin/orderd order submit --symbol AAPL --side buy --quantity 1{where}",
            f"  grpcurl -plaintext {address} oms.v1.AccountService/ListAccounts",
        ]
    )


def _start_bot(address: str) -> "Popen[bytes]":
    """The bot is a process of its own, like any bot; it ends with us, because its stdin does."""
    import subprocess

    line = [sys.executable, "-m", "orderd.cli.demo", address]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


@dataclass(frozen=True, kw_only=True)
class VenueFlags:
    """What the venue is told."""

    protocol: Annotated[Protocol, option("Whose protocol it speaks.")] = Protocol.ALPACA
    listen: Annotated[
        str, option("Where it listens; port 0 takes a free one.", parser=texts.address, metavar="HOST:PORT")
    ] = "127.0.0.1:0"
    seed: Annotated[int, option("The same seed is the same world.", metavar="N")] = 1
    key_id: Annotated[str | None, option("Key id of its account.", metavar="TEXT")] = None
    secret_key: Annotated[str | None, option("Secret key of its account.", metavar="TEXT")] = None
    cash: Annotated[str | None, option("Cash of its account.", parser=texts.positive, metavar="DECIMAL")] = None
    sessions: Annotated[Sessions, option("Open always, or in the hours of the exchange.")] = Sessions.ALWAYS
    quotes: Annotated[str, option("walk, fixed, or a CSV file (seconds,symbol,bid,ask[,last]).", metavar="SOURCE")] = (
        "walk"
    )
    partial_rate: Annotated[
        str, option("Part of the fills that are partial.", parser=texts.decimal, metavar="0..1")
    ] = "0.1"
    fees: Annotated[bool, typer.Option("--fees", help="Charge fees.")] = False
    requests_per_minute: Annotated[
        int, typer.Option(min=0, max=1_000_000, metavar="N", help="Requests it takes in a minute; 0: any number.")
    ] = 200


def run_venue(flags: VenueFlags) -> None:
    """Serve a simulated venue with a broker's protocol until SIGTERM.

    Prints one JSON line {"event":"ready", ...} with its addresses on stdout when it serves.
    """
    if flags.protocol is Protocol.TRADIER:
        raise typer.BadParameter("tradier is not in this build yet; alpaca is", param_hint="--protocol")
    if not Decimal(0) <= Decimal(flags.partial_rate) <= 1:
        raise typer.BadParameter("must be 0 to 1", param_hint="--partial-rate")
    import asyncio

    from orderd.venue.options import VenueOptions
    from orderd.venue.server import run_venue as run

    plain = VenueOptions()
    options = VenueOptions(
        protocol=flags.protocol,
        listen=flags.listen,
        seed=flags.seed,
        key_id=flags.key_id or plain.key_id,
        secret=flags.secret_key or plain.secret,
        cash=plain.cash if flags.cash is None else Decimal(flags.cash),
        sessions=flags.sessions,
        quotes=flags.quotes,
        partial_rate=Decimal(flags.partial_rate),
        has_fees=flags.fees,
        requests_per_minute=flags.requests_per_minute,
    )
    try:
        asyncio.run(run(options))
    except ValueError as error:
        raise Failure(Exit.USAGE, str(error)) from None
    except OSError as error:
        raise Failure(Exit.OTHER, f"cannot listen at {flags.listen}: {error.strerror}") from None
