"""`orderd doctor`, `backup` and `restore`: which journal is meant, and how each ends."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orderd.storage import open_journal
from orderd.system import SystemClock, SystemIds
from tests.cli.conftest import Run


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with a name that a URL has to escape."""
    path = tmp_path / "or der%d.db"

    async def begin() -> None:
        url = f"sqlite+aiosqlite:///{str(path).replace('%', '%25')}"
        await (await open_journal(url, clock=SystemClock(), ids=SystemIds())).close()

    asyncio.run(begin())
    return path


def _damage(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE journal_meta SET head_hash = zeroblob(32)")


def test_which_journal(invoke: Run, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag, as a path or a URL; then the variable; then what the settings say."""
    named = f"sqlite+aiosqlite:///{str(journal).replace('%', '%25')}"
    assert invoke("doctor", "--database", str(journal)).code == 0
    assert invoke("doctor", "--database", named).code == 0
    config = tmp_path / "orderd.toml"
    config.write_text(f'database_url = "{named}"\n[accounts.paper]\nbroker = "simulated"\n', encoding="utf-8")
    assert invoke("doctor", "--config", str(config)).code == 0
    monkeypatch.setenv("ORDERD_DATABASE_URL", named)
    assert invoke("doctor").code == 0
    assert invoke("doctor", "--database", str(tmp_path / "other.db")).code == 3


def test_a_broken_configuration_is_in_nobodys_way(invoke: Run, journal: Path, tmp_path: Path) -> None:
    """With the journal named, the settings are not read: an operator may have lost both."""
    config = tmp_path / "orderd.toml"
    config.write_text("this is no toml", encoding="utf-8")
    assert invoke("doctor", "--config", str(config)).code == 2
    assert invoke("doctor", "--config", str(config), "--database", str(journal)).code == 0


def test_a_damaged_journal_fails_and_the_answer_is_whole(invoke: Run, journal: Path) -> None:
    _damage(journal)
    ran = invoke("doctor", "--database", str(journal), "-o", "json")
    assert ran.code == 1
    rows = {row["check"]: row for row in json.loads(ran.out)}
    assert rows["chain"]["result"] == "fail"
    assert "orderd restore" in rows["chain"]["fix"]
    assert rows["orders"]["result"] == "ok"
    assert f"{journal} failed: chain" in ran.err


def test_no_journal(invoke: Run, tmp_path: Path) -> None:
    ran = invoke("doctor", "--database", str(tmp_path / "orderd.db"))
    assert (ran.code, ran.out) == (3, "")
    assert "there is no journal" in ran.err
    ran = invoke("backup", "--database", str(tmp_path / "orderd.db"), "--to", str(tmp_path / "copy.db"))
    assert (ran.code, ran.out) == (1, "")
    assert "is not there" in ran.err


def test_there_and_back(invoke: Run, journal: Path, tmp_path: Path) -> None:
    copy, again = tmp_path / "copy.db", tmp_path / "again.db"
    made = invoke("backup", "--database", str(journal), "--to", str(copy))
    assert made.code == 0
    assert "ok    chain" in made.err
    told = json.loads(made.out)
    assert (told["file"], told["bytes"]) == (str(copy), str(copy.stat().st_size))
    back = invoke("restore", "--from", str(copy), "--database", str(again))
    assert back.code == 0
    assert json.loads(back.out)["journalId"] != told["journalId"]
    assert "start the server" in back.err
    assert invoke("doctor", "--database", str(again)).code == 0


@pytest.mark.parametrize("what", ["there", "directory", "nowhere", "missing", "text", "damaged"])
def test_what_is_refused_leaves_nothing(invoke: Run, journal: Path, tmp_path: Path, what: str) -> None:
    to, source = tmp_path / "to.db", tmp_path / "source.db"
    source.write_bytes(journal.read_bytes())
    match what:
        case "there":
            to.write_text("mine", encoding="utf-8")
        case "directory":
            to.mkdir()
        case "nowhere":
            to = tmp_path / "nowhere" / "to.db"
        case "missing":
            source.unlink()
        case "text":
            source.write_text("no journal", encoding="utf-8")
        case _:
            _damage(source)
    for ran in (
        invoke("backup", "--database", str(source), "--to", str(to)),
        invoke("restore", "--from", str(source), "--database", str(to), "--yes"),
    ):
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.strip()
        assert "Traceback" not in ran.err
    assert what == "there" or not to.is_file()
    assert what != "there" or to.read_text(encoding="utf-8") == "mine"
