"""Journals that earlier code has left: each is brought up to date, whole, whatever it is interrupted by."""

# ruff: noqa: ASYNC240 - nothing else runs on these loops

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orderd.core.order import OrderState
from orderd.core.records import RecordKind
from orderd.storage import SqliteJournal, migrate, schema
from orderd.storage.backup import restore
from orderd.storage.doctor import Verdict, examine
from tests.reach import PROVES, Reached
from tests.storage.conftest import Opening
from tests.storage.golden import FOLDER, contents, unpack
from tests.storage.integrity import check
from tests.storage.making import START, accepted, submitted_order, then
from tests.storage.test_backup import shot

NAMES = sorted(path.name.removesuffix(".db.gz") for path in FOLDER.glob("*.db.gz"))


def _revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute(f"SELECT version_num FROM {migrate.VERSION_TABLE}").fetchone()[0])


def _changed_by_nothing(path: Path, expected: dict[str, Any]) -> None:
    found = contents(path)
    assert found["record_count"] == expected.get("record_count", 0)
    found = {name: found[name] for name in expected}  # journals of earlier releases tell of fewer things
    assert found == expected, [name for name in expected if found[name] != expected[name]]


def test_there_is_one_of_today() -> None:
    """A change of the tables, and every release, leaves a golden journal (docs/decisions/build-and-checks.md)."""
    assert any(name.endswith(schema.REVISION) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
async def test_every_golden_journal_is_upgraded_whole_and_goes_on(
    opening: Opening, database: Path, name: str, reached: Reached
) -> None:
    expected = unpack(name, database)
    before = _revision(database)
    journal: SqliteJournal = await opening()
    assert (journal.journal_id, journal.head) == (expected["journal_id"], expected["head"])
    states = {order.order_id: order.state for order in await journal.open_orders()}
    assert {order_id: state for order_id, state in states.items() if order_id.startswith("open-")} == {
        "open-0": OrderState.CREATED,
        "open-1": OrderState.SUBMITTED,
        "open-2": OrderState.SUBMITTED,
        "open-3": OrderState.ACCEPTED,
        "open-4": OrderState.PARTIALLY_FILLED,
    }
    is_with_desk = expected.get("record_count", 0) > 0
    for kind in (kind for kind in RecordKind if kind is not RecordKind.DISCREPANCY):
        records = [record.record_id for record in await journal.open_records(kind)]
        assert records == ([f"open-{kind}"] if is_with_desk else [])
    told = await journal.events_after(0, limit=10_000)
    assert [entry.sequence for entry in told] == list(range(1, expected["head"] + 1))
    waiting = journal.load("open-2")
    assert waiting is not None
    _changed_by_nothing(database, expected)
    await journal.append([then(waiting, accepted()), submitted_order(order_id="new", client_order_id="new")])
    await journal.close()
    assert {one.name: one for one in examine(database, min_free_bytes=0) if one.verdict is not Verdict.OK} == {}
    assert check(database).head == expected["head"] + 3
    if before != schema.REVISION:
        copy = database.with_name(f"{database.name}.before-upgrade-from-{before}")
        assert _revision(copy) == before
        _changed_by_nothing(copy, expected)
    reached("P19", "golden journals, each upgraded whole and served", 1)


@pytest.mark.parametrize("name", NAMES)
async def test_a_golden_journal_is_restored_like_a_backup(opening: Opening, tmp_path: Path, name: str) -> None:
    source, target = tmp_path / "old.db", tmp_path / "new.db"
    expected = unpack(name, source)
    restore(source, target, journal_id="another", now=START, told=lambda _: None)
    journal = await opening(target)
    assert (journal.journal_id, journal.head) == ("another", expected["head"])
    await journal.close()
    check(target)
    assert contents(target)["events"] == expected["events"]


@pytest.mark.scaled
@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(schema.REVISION)])
async def test_an_upgrade_that_is_killed_at_any_step_is_resumed_by_the_next_start(
    opening: Opening, tmp_path: Path, name: str, reached: Reached
) -> None:
    source = tmp_path / "golden.db"
    expected = unpack(name, source)
    before = _revision(source)
    steps = range(1, 1000) if PROVES else range(2, 1000, 11)
    kills = 0
    for number, code in zip(steps, shot("upgrade", source, tmp_path, steps), strict=False):
        assert code in {-signal.SIGKILL, 0}
        kills += code == -signal.SIGKILL
        path = tmp_path / f"to-{number}.db"
        if code:
            copy = path.with_name(f"{path.name}.before-upgrade-from-{before}")
            if copy.exists():
                _changed_by_nothing(copy, expected)
            journal = await opening(path)
            assert journal.head == expected["head"]
            await journal.close()
        assert _revision(path) == schema.REVISION
        _changed_by_nothing(path, expected)
        check(path)
        for file in tmp_path.glob(f"{path.name}*"):
            file.unlink()
    assert kills > (50 if PROVES else 4)
    reached("P19", "kills of an upgrade, at its steps, each resumed by the next start", kills)
