"""`orderd doctor`, `orderd backup` and `orderd restore`: the journal's file, with a server running or without."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from orderd.cli.asking import Consent
from orderd.cli.exits import Exit, Failure
from orderd.cli.flags import say
from orderd.cli.intent import option
from orderd.cli.render import Output
from orderd.cli.settings import ConfigFile, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orderd.config import Settings
    from orderd.storage.doctor import Check


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which journal."""

    config: ConfigFile = None
    database: Annotated[
        str | None,
        typer.Option(
            envvar="ORDERD_DATABASE_URL",
            metavar="FILE",
            help="The journal's file, or its URL. Default: the one that the settings name.",
        ),
    ] = None

    def settings(self) -> "Settings | None":
        """The settings, unless the journal was named: then they may be missing or wrong."""
        return read_settings(self.config) if self.database is None else None

    def path(self, settings: "Settings | None") -> Path:
        """The journal's file."""
        from orderd.storage import JournalUrlError
        from orderd.storage.location import SCHEME, path_of

        url = self.database if settings is None else settings.database_url
        if url is None or not url.strip():
            raise typer.BadParameter("is empty; name a file", param_hint="--database")
        try:
            return path_of(url if "://" in url else f"{SCHEME}:///{quote(url)}")
        except JournalUrlError as error:
            raise typer.BadParameter(str(error), param_hint="--database") from None


async def doctor(where: Where, output: Output) -> None:
    """Check the journal: every page, every hash, every order against its events. Changes nothing.

    Works while the server runs, in short reads, and without it. Each check is ok, warn or fail, with what to do. Ends
    with 0 when nothing failed, 1 when something did, 3 when there is no journal.
    """
    from orderd.storage.doctor import MIN_FREE_BYTES, Verdict, examine

    settings = where.settings()
    path = where.path(settings)
    if not path.is_file():
        raise Failure(Exit.NOT_FOUND, f"{path}: there is no journal; name one with --database or --config")
    failed: list[str] = []

    def rows() -> "Iterator[dict[str, str]]":
        for check in examine(path, min_free_bytes=settings.min_free_bytes if settings else MIN_FREE_BYTES):
            if check.verdict is Verdict.FAIL:
                failed.append(check.name)
            yield _row(check)

    await output.many(rows(), dict)
    if failed:
        raise Failure(Exit.OTHER, f"{path} failed: {', '.join(failed)}")


def _row(check: "Check") -> dict[str, str]:
    return {"check": check.name, "result": check.verdict.value, "detail": check.detail, "fix": check.fix}


def backup(
    where: Where,
    output: Output,
    to: Annotated[Path, option("The file to make; it must not be there.", metavar="FILE")],
) -> None:
    """Copy the journal, with the server running or not, and check the copy as `doctor` does.

    The copy is as of one commit. The server goes on meanwhile.
    """
    from orderd.storage import OpenError
    from orderd.storage.backup import back_up
    from orderd.system import SystemClock

    source = where.path(where.settings())
    try:
        copied = back_up(source, to, now=SystemClock().now(), told=_tell)
    except OpenError as error:
        raise Failure(Exit.OTHER, str(error)) from None
    output.one(
        {
            "file": str(to),
            "database": str(source),
            "journalId": copied.journal_id,
            "sequence": str(copied.head),
            "bytes": str(copied.size_bytes),
        }
    )


def restore(
    where: Where,
    output: Output,
    consent: Consent,
    backup_file: Annotated[
        Path, typer.Option("--from", metavar="FILE", help="The backup, or a copy that an upgrade made.")
    ],
) -> None:
    """Make a journal of a backup. Nothing is overwritten: move a damaged journal away first.

    The journal gets a new id, so streams that stood in the old one are told to begin anew. What was traded since the
    backup is read from the broker when the server starts: until then no order is sent.
    """
    from orderd.storage import OpenError
    from orderd.storage.backup import restore as make_journal
    from orderd.system import SystemClock, SystemIds

    target = where.path(where.settings())
    consent.ask(f"Make {target} of {backup_file}?")
    try:
        made = make_journal(backup_file, target, journal_id=SystemIds().new(), now=SystemClock().now(), told=_tell)
    except OpenError as error:
        raise Failure(Exit.OTHER, str(error)) from None
    say("start the server: it takes up what was traded since the backup before it sends anything")
    output.one({"database": str(target), "journalId": made.journal_id, "sequence": str(made.head)})


def _tell(check: "Check") -> None:
    """Each check as it is done, for whoever waits: a large journal takes a while."""
    say(f"{check.verdict.value:4}  {check.name}: {check.detail}")
