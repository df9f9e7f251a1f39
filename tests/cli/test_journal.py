"""`orderd journal compact`: offline, on a journal that nobody has open."""

import asyncio
import json
from pathlib import Path

import pytest

from orderd.cli.render import Format
from orderd.storage import SqliteJournal, open_journal
from orderd.system import SystemClock, SystemIds
from tests.cli.conftest import Run
from tests.cli.processes import ran
from tests.storage.making import acknowledged, canceled, new, order, submitted


async def opened(folder: Path) -> SqliteJournal:
    """The journal in this folder."""
    return await open_journal(url(folder), clock=SystemClock(), ids=SystemIds())


def url(folder: Path) -> str:
    """Its setting."""
    return f"sqlite+aiosqlite:///{folder}/orderd.db"


def written(folder: Path, orders: int) -> None:
    """Orders of long ago, four events each, one of them still open."""

    async def write() -> None:
        journal = await opened(folder)
        await journal.append([new(order(), submitted(), acknowledged(f"b-{n}"), canceled()) for n in range(orders)])
        await journal.append([new(order(), submitted())])
        await journal.close()

    asyncio.run(write())


def test_it_deletes_shrinks_and_says_what_it_did(tmp_path: Path, invoke: Run) -> None:
    written(tmp_path, 300)
    done = invoke("journal", "compact", "--database-url", url(tmp_path), "--keep-days", "0", "-o", "json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["floorSequence"], said["deletedEvents"]) == ("1202", "1200")
    assert int(said["bytesAfter"]) < int(said["bytesBefore"])
    assert int(said["bytesAfter"]) == (tmp_path / "orderd.db").stat().st_size
    again = invoke("journal", "compact", "--database-url", url(tmp_path), "--keep-days", "0", "--no-shrink")
    assert json.loads(again.out)["deletedEvents"] == "0"
    assert "journal_changed_since_last_written" not in again.out + again.err, "it was us who wrote the file anew"


@pytest.mark.parametrize("form", list(Format))
def test_in_every_format(tmp_path: Path, invoke: Run, form: Format) -> None:
    written(tmp_path, 1)
    done = invoke("journal", "compact", "--database-url", url(tmp_path), "--keep-days", "0", "-o", form)
    assert done.code == 0, done.err
    assert "deletedEvents" in done.out
    assert "4" in done.out


def test_what_is_young_stays(tmp_path: Path, invoke: Run) -> None:
    written(tmp_path, 3)
    done = invoke("journal", "compact", "--database-url", url(tmp_path), "--keep-days", "36500")
    assert (json.loads(done.out)["floorSequence"], json.loads(done.out)["deletedEvents"]) == ("0", "0")


def test_the_days_may_come_from_the_configuration(tmp_path: Path, invoke: Run) -> None:
    written(tmp_path, 3)
    config = tmp_path / "orderd.toml"
    accounts = '[accounts.sim]\nbroker = "simulated"\n'
    config.write_text(f'database_url = "{url(tmp_path)}"\n{accounts}', encoding="utf-8")
    unsaid = invoke("journal", "compact", "--config", str(config))
    assert unsaid.code == 2
    assert "keep_events_days" in unsaid.err
    config.write_text(
        f'database_url = "{url(tmp_path)}"\n{accounts}[retention]\nkeep_events_days = 7\n', encoding="utf-8"
    )
    done = invoke("journal", "compact", "--config", str(config))
    assert json.loads(done.out)["deletedEvents"] == "12"


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        (("--keep-days", "-1"), "--keep-days"),
        (("--keep-days", "soon"), "--keep-days"),
        (("--keep-days", "1", "--database-url", "postgresql://h/db"), "PostgreSQL"),
        (("--keep-days", "1", "--database-url", "sqlite+aiosqlite:///nowhere/orderd.db"), "no journal"),
        (("--keep-days", "1", "--config", "missing.toml"), "missing.toml"),
    ],
)
def test_what_cannot_be_asked(invoke: Run, flags: tuple[str, ...], wrong: str) -> None:
    done = invoke("journal", "compact", *flags)
    assert (done.code, done.out) == (2, "")
    assert wrong in done.err
    assert "Traceback" not in done.err


async def test_a_journal_that_a_server_has_open_is_left_alone(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    arguments = ("journal", "compact", "--database-url", url(tmp_path), "--keep-days", "0", "--yes")
    code, out, err = await ran(*arguments, cwd=tmp_path)
    await journal.close()
    assert (code, out) == (1, "")
    assert "is held by process" in err
    assert "Traceback" not in err
