"""A database that is deleted, replaced, overwritten or put back from a copy is noticed, and never served as truth."""

# ruff: noqa: ASYNC240 - nothing else runs on these loops

import asyncio
import os
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orderd.ports import JournalError
from orderd.storage import InlineRunner, JournalLostError, OpenError, checkpoint
from orderd.storage.doctor import Check, examine
from orderd.storage.presence import PACE_NS
from orderd.storage.runner import Runner, ThreadRunner
from tests.reach import Reached, scaled
from tests.storage.conftest import Opening
from tests.storage.making import submitted_order
from tests.storage.test_failstop import Told

Harm = Callable[[Path, Path], None]


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def _delete(database: Path, _copy: Path) -> None:
    database.unlink()


def _delete_log(database: Path, _copy: Path) -> None:
    _beside(database, "-wal").unlink()


def _replace(database: Path, copy: Path) -> None:
    copy.replace(database)


def _overwrite(database: Path, copy: Path) -> None:
    shutil.copyfile(copy, database)


HARMS: dict[str, tuple[Harm, str]] = {
    "deleted": (_delete, "orderd.db was deleted"),
    "its log deleted": (_delete_log, "orderd.db-wal was deleted"),
    "replaced by an older copy": (_replace, "orderd.db was replaced"),
    "an older copy written over it": (_overwrite, "orderd.db was written to by another program"),
}


@pytest.fixture(params=["thread", "inline"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """With threads, and without."""
    return ThreadRunner() if request.param == "thread" else InlineRunner(lambda: 0.0)


async def _old_copy(opening: Opening, database: Path) -> Path:
    """A journal with ten events, and a copy of it made while no server had it."""
    journal = await opening()
    await journal.append([submitted_order() for _ in range(5)])
    await journal.close()
    copy = database.with_name("copy.db")
    shutil.copyfile(database, copy)
    return copy


@pytest.mark.parametrize("harm", HARMS)
async def test_what_happens_to_the_file_while_it_is_open_ends_the_journal(
    opening: Opening, database: Path, runner: Runner, harm: str
) -> None:
    do, said = HARMS[harm]
    copy = await _old_copy(opening, database)
    told = Told()
    journal = await opening(runner=runner, on_failure=told)
    await journal.append([submitted_order()])
    do(database, copy)
    if runner.has_threads:
        await asyncio.sleep(1.5 * PACE_NS / 1e9)  # the files were looked at just now
    with pytest.raises(JournalError, match=said):
        await journal.append([submitted_order()])
    await told.event.wait()
    assert len(told.errors) == 1


@pytest.mark.parametrize("harm", HARMS)
async def test_it_is_noticed_in_the_middle_of_a_burst(opening: Opening, database: Path, harm: str) -> None:
    """Commits that follow each other closely share a look, a hundred of them at most a few."""
    do, said = HARMS[harm]
    copy = await _old_copy(opening, database)
    journal = await opening()
    await journal.append([submitted_order()])
    began = time.monotonic_ns()
    do(database, copy)
    told = 0
    with pytest.raises(JournalError, match=said):
        while True:
            await journal.append([submitted_order()])
            told += 1
            assert time.monotonic_ns() - began < 100 * PACE_NS, f"{told} orders were told of a file that is not there"


@pytest.mark.parametrize("harm", HARMS)
async def test_it_is_noticed_while_nothing_is_written_too(
    opening: Opening, database: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    do, said = HARMS[harm]
    monkeypatch.setattr(checkpoint, "LOOK_S", 0.01)
    copy = await _old_copy(opening, database)
    told = Told()
    await opening(on_failure=told)
    do(database, copy)
    await asyncio.wait_for(told.event.wait(), 20)
    assert said in str(told.errors[0])


async def test_the_start_after_a_deletion_does_not_begin_anew(opening: Opening, database: Path) -> None:
    await _old_copy(opening, database)
    database.unlink()
    for _ in range(2):  # saying it once changes nothing
        with pytest.raises(JournalLostError, match="is gone: a journal with 10 events was here") as refused:
            await opening()
        assert not database.exists()
    assert f"remove {database}.lock" in str(refused.value)
    _beside(database, ".lock").unlink()
    assert (await opening()).head == 0


async def test_an_empty_file_in_its_place_is_no_journal_either(opening: Opening, database: Path) -> None:
    await _old_copy(opening, database)
    database.write_bytes(b"")
    with pytest.raises(JournalLostError, match="is gone"):
        await opening()


async def test_an_older_copy_put_back_is_refused(opening: Opening, database: Path) -> None:
    copy = await _old_copy(opening, database)
    journal = await opening()
    await journal.append([submitted_order() for _ in range(3)])
    await journal.close()
    newest = database.read_bytes()
    shutil.copyfile(copy, database)
    with pytest.raises(JournalLostError, match="older copy of the journal: it ends at event 10, and event 16 was"):
        await opening()
    database.write_bytes(newest)
    assert (await opening()).head == 16


async def test_an_older_copy_beneath_a_newer_log_is_refused(opening: Opening, database: Path, tmp_path: Path) -> None:
    """The log of a server that was killed belongs to the file it was killed on; on another one SQLite takes it, too."""
    copy = await _old_copy(opening, database)
    journal = await opening()
    await journal.append([submitted_order() for _ in range(200)])
    journal._parts.checkpointer._checkpoint("PASSIVE")  # the events are in the database now
    await journal.append([submitted_order()])  # and the log begins again with the newest ones
    killed = {name: _beside(database, name).read_bytes() for name in ("-wal", ".lock")}
    await journal.close()
    shutil.copyfile(copy, database)
    for name, content in killed.items():
        _beside(database, name).write_bytes(content)
    with pytest.raises(OpenError, match=r"is damaged|malformed|older copy"):
        await opening()


async def test_how_far_it_goes_is_remembered_at_once_and_in_a_burst_a_moment_later(
    opening: Opening, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed leaves in the lock file what it had reached, but for a hundredth of a second."""
    monkeypatch.setattr(checkpoint, "LOOK_S", 0.05)
    journal = await opening()

    def remembered() -> int:
        return int(_beside(database, ".lock").read_bytes().split(b"\n")[2])

    for _ in range(3):
        await asyncio.sleep(1.5 * PACE_NS / 1e9)
        await journal.append([submitted_order()])
        assert remembered() == journal.head
    writes = 0
    pwrite = os.pwrite

    def counted(descriptor: int, data: bytes, offset: int) -> int:
        nonlocal writes
        writes += 1
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", counted)
    began = time.monotonic_ns()
    for _ in range(50):
        await journal.append([submitted_order()])
    assert writes <= 2 + (time.monotonic_ns() - began) // PACE_NS
    await asyncio.sleep(1)  # two dozen looks
    assert remembered() == journal.head


async def test_a_lock_file_that_cannot_be_read_says_nothing(opening: Opening, database: Path) -> None:
    await _old_copy(opening, database)
    for rubbish in (b"", b"77\n", b"\xff\xfe", b"1\njournal\nten\n0\n0\n", bytes(512)):
        _beside(database, ".lock").write_bytes(rubbish)
        journal = await opening()
        assert journal.head == 10
        await journal.close()


async def test_a_journal_that_was_only_served_is_not_examined(
    opening: Opening, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file is as the last server left it; a copy in its place is checked in whole, and taken when it is whole."""
    await _old_copy(opening, database)
    await (await opening()).close()
    assert "journal_changed" not in "".join(capsys.readouterr())
    os.utime(database)
    journal = await opening()
    assert "journal_changed" in "".join(capsys.readouterr())
    assert journal.head == 10
    await journal.close()
    await (await opening()).close()
    assert "journal_changed" not in "".join(capsys.readouterr())


async def test_the_loop_goes_on_while_a_changed_journal_is_examined(
    opening: Opening, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large one takes minutes, and a loop that is blocked for seconds is ended: then no start would ever succeed."""
    await _old_copy(opening, database)
    os.utime(database)
    turned = threading.Event()

    def examined(path: Path, *, min_free_bytes: int) -> Iterator[Check]:
        assert turned.wait(10), "nothing else ran on the loop"
        return examine(path, min_free_bytes=min_free_bytes)

    monkeypatch.setattr("orderd.storage.opening.examine", examined)
    asyncio.get_running_loop().call_later(0.05, turned.set)
    assert (await opening()).head == 10


@pytest.mark.scaled
async def test_a_bit_that_fell_over_is_found_or_harms_nothing(
    opening: Opening, database: Path, reached: Reached
) -> None:
    """Every byte of the file may be hit. What is served afterwards, if anything, is what was written."""
    await _old_copy(opening, database)
    whole, lock = database.read_bytes(), _beside(database, ".lock").read_bytes()
    written, chance, refused = _everything(database), random.Random(7), 0
    flips = scaled(1000)
    for number in range(flips):
        place = chance.randrange(len(whole)) if number % 2 else chance.randrange(0, len(whole), 64)
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << chance.randrange(8)
        for ending in ("-wal", "-shm"):
            _beside(database, ending).unlink(missing_ok=True)
        database.write_bytes(spoiled)
        _beside(database, ".lock").write_bytes(lock)
        try:
            journal = await opening(runner=InlineRunner(lambda: 0.0))
        except OpenError as error:
            assert str(database) in str(error)
            refused += 1
        else:
            await journal.close()
            assert _everything(database) == written, f"bit flip at byte {place} was served"
    assert refused > flips // 20, "hardly any flip hit anything: the test is blind"
    reached("P12", "bits flipped in the file of a stopped server: refused with a message, or without effect", flips)


def _everything(database: Path) -> list[object]:
    """What orders, events and fills say."""
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        return [
            connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("orders", "order_events", "fills")
        ]
    finally:
        connection.close()
