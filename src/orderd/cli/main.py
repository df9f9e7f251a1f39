"""The command tree."""

from typing import Annotated

import typer

from orderd import __version__
from orderd.cli import (
    about,
    accounts,
    decisions,
    desk,
    events,
    journal,
    orders,
    pnl,
    position,
    risk,
    serving,
    settling,
    trades,
    upkeep,
)
from orderd.cli.exits import MEANING
from orderd.cli.flags import command

EPILOG = "Exit codes: " + "; ".join(f"{int(code)} {text}" for code, text in MEANING.items()) + "."

app = typer.Typer(
    name="orderd",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback with local variables could show a secret
    help="Records, sends and follows orders for trading bots.",
    epilog=EPILOG,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"orderd {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version; `version` tells more."
        ),
    ] = False,
) -> None:
    """Records, sends and follows orders for trading bots."""


command(app)(serving.serve)
command(app)(serving.dev)
command(app, "venue")(serving.run_venue)
command(accounts.broker)(settling.discrepancies)
command(accounts.broker)(settling.resolve)
command(orders.order, "resolve")(settling.resolve_order)
app.add_typer(decisions.decision, name="decision")
app.add_typer(orders.order, name="order")
app.add_typer(events.event, name="event")
app.add_typer(trades.trade, name="trade")
app.add_typer(desk.desk, name="desk")
app.add_typer(accounts.fill, name="fill")
app.add_typer(accounts.account, name="account")
app.add_typer(position.position, name="position")
app.add_typer(accounts.broker, name="broker")
app.add_typer(risk.risk, name="risk")
app.add_typer(journal.journal, name="journal")
app.add_typer(about.config, name="config")
command(app)(pnl.pnl)
command(app)(upkeep.doctor)
command(app)(upkeep.backup)
command(app)(upkeep.restore)
command(app)(about.version)
