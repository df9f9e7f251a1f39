"""`orderd journal …`: what is done to a journal while no server has it open."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli.asking import Consent
from orderd.cli.exits import Exit, Failure
from orderd.cli.flags import command
from orderd.cli.intent import option
from orderd.cli.render import Output
from orderd.cli.settings import ConfigFile, read_settings

if TYPE_CHECKING:
    from orderd.ports import Compaction

journal = typer.Typer(no_args_is_help=True, help="Look after a journal that no server has open.")


@dataclass(frozen=True, kw_only=True)
class CompactFlags:
    """What is let go."""

    database_url: Annotated[str | None, option("The journal.", metavar="URL")] = None
    keep_days: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=36_500,
            metavar="N",
            help="Keep the events of so many days; 0: let all go that can. Default: keep_events_days of [retention].",
        ),
    ] = None
    shrink: Annotated[
        bool, typer.Option("--shrink/--no-shrink", help="Write the file anew, without the space of what was deleted.")
    ] = True


@command(journal)
async def compact(flags: CompactFlags, consent: Consent, output: Output, config: ConfigFile = None) -> None:
    """Delete the old events of orders that are over, and the broker's own bytes about them; print what was deleted.

    Orders, fills and keys stay for ever, and so does the story of every order that is still open. No stream can then
    begin before the floor that is printed. To shrink the file there must be room for it a second time.
    """
    url, keep_days = _asked(flags, config)
    path = _path(url)
    consent.ask(f"Delete the events of orders that are over from {path}, older than {keep_days} days, for ever?")
    before = path.stat().st_size
    done = await _compacted(url, keep_days)
    if flags.shrink:
        _shrunk(path)
    output.one(
        {
            "floorSequence": str(done.floor),
            "deletedEvents": str(done.events),
            "deletedPayloads": str(done.payloads),
            "bytesBefore": str(before),
            "bytesAfter": str(path.stat().st_size),
        }
    )


def _asked(flags: CompactFlags, config: Path | None) -> tuple[str, int]:
    """The journal and the days, from the flags alone when they say both."""
    if flags.database_url is not None and flags.keep_days is not None:
        return flags.database_url, flags.keep_days
    settings = read_settings(config, {"database_url": flags.database_url})
    keep_days = settings.retention.keep_events_days if flags.keep_days is None else flags.keep_days
    if keep_days is None:
        raise typer.BadParameter("say for how many days, here or by keep_events_days of [retention]")
    return settings.database_url, keep_days


def _path(url: str) -> Path:
    from orderd.storage import OpenError
    from orderd.storage.location import path_of

    try:
        path = path_of(url)
    except OpenError as error:
        raise Failure(Exit.USAGE, str(error)) from None
    if not path.is_file():
        raise Failure(Exit.USAGE, f"there is no journal at {path}")
    return path


async def _compacted(url: str, keep_days: int) -> "Compaction":
    from orderd import logs
    from orderd.ports import JournalError
    from orderd.storage import OpenError, open_journal
    from orderd.system import SystemClock, SystemIds

    logs.to_stderr()
    clock = SystemClock()
    try:
        opened = await open_journal(url, clock=clock, ids=SystemIds())
        try:
            done = await opened.begin_compaction(clock.now() - timedelta(days=keep_days))
            while not done.is_done:
                done = await opened.compact(done)
        finally:
            await opened.close()
    except (OpenError, JournalError) as error:
        raise Failure(Exit.OTHER, str(error)) from None
    return done


def _shrunk(path: Path) -> None:
    from orderd.storage import OpenError
    from orderd.storage.compaction import shrink

    try:
        shrink(path)
    except OpenError as error:
        raise Failure(Exit.OTHER, f"the events are deleted, but the file could not be written anew: {error}") from None
