"""A write that fails ends the journal: everybody who waits is told the truth, and nothing more is written."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from orderd.core.turnstiles import Recorded
from orderd.ports import Append, JournalError
from orderd.storage import InlineRunner, SqliteJournal, ThreadRunner
from orderd.storage.runner import Runner
from orderd.storage.writer import Writer
from tests.storage.conftest import Opening
from tests.storage.integrity import check
from tests.storage.making import submitted_order

RUNNERS = {"thread": ThreadRunner, "inline": lambda: InlineRunner(lambda: 0.0)}


@pytest.fixture(params=RUNNERS.values(), ids=RUNNERS.keys())
def runner(request: pytest.FixtureRequest) -> Runner:
    """Each way to run the writer; made on the loop's thread."""
    return request.param()  # type: ignore[no-any-return]


class Told:
    """Who was told to end the process, and how often."""

    def __init__(self) -> None:
        self.errors: list[JournalError] = []
        self.event = asyncio.Event()

    def __call__(self, error: JournalError) -> None:
        self.errors.append(error)
        self.event.set()


async def _submit_until_it_fails(journal: SqliteJournal) -> tuple[list[Recorded], list[BaseException]]:
    """Sixty-four callers at a time, until one of them is refused."""
    done: list[Recorded] = []
    while True:
        appends = [submitted_order(strategy="s" * 2000) for _ in range(64)]
        results = await asyncio.gather(*[journal.append([append]) for append in appends], return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        done += [recorded for result in results if not isinstance(result, BaseException) for recorded in result]
        if failed:
            return done, failed


async def test_a_full_disk_ends_the_journal_and_loses_nothing_acknowledged(
    opening: Opening, database: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`max_page_count` makes SQLite answer as it does when the file system has no room."""
    made: list[sqlite3.Connection] = []
    plain_init = Writer.__init__

    def limited(self: Writer, connection: sqlite3.Connection) -> None:
        plain_init(self, connection)
        connection.execute("PRAGMA max_page_count=900")
        made.append(connection)

    monkeypatch.setattr(Writer, "__init__", limited)
    told = Told()
    journal = await opening(runner=runner, on_failure=told)
    done, failed = await _submit_until_it_fails(journal)
    await told.event.wait()
    assert len(done) > 64
    assert all(isinstance(error, JournalError) and "full" in str(error) for error in failed)
    with pytest.raises(JournalError, match="unknown"):
        await journal.append([submitted_order()])
    with pytest.raises(JournalError):
        await journal.set_mark("m", "1")
    # What was committed is still read while the process ends.
    assert journal.load(done[0].order.order_id) == done[0].order
    await journal.close()
    assert len(told.errors) == 1
    contents = check(database)
    assert {recorded.order.sequence for recorded in done} <= set(contents.events)


@pytest.mark.parametrize("at", ["BEGIN IMMEDIATE", "COMMIT"])
async def test_a_failed_commit_is_unknown_to_everybody_who_waited(
    opening: Opening, database: Path, runner: Runner, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    journal = await opening(runner=runner, on_failure=told)
    (kept,) = await journal.append([submitted_order()])
    _break(journal, monkeypatch, at, sqlite3.OperationalError("disk I/O error"))
    heard: list[int] = []
    journal.listen(lambda entries: heard.extend(entry.sequence for entry in entries))
    waiting = [asyncio.ensure_future(journal.append([submitted_order()])) for _ in range(200)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, JournalError) for result in results)
    assert heard == []
    assert journal.head == kept.order.sequence
    await told.event.wait()
    assert len(told.errors) == 1
    assert isinstance(told.errors[0].__cause__, sqlite3.OperationalError)
    await journal.close()
    reopened = await opening()
    assert (await reopened.append([submitted_order()]))[0].order.sequence == 4
    await reopened.close()
    check(database)


def _break(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, at: str, error: Exception) -> None:
    """From now on this statement of the writer's fails."""
    writer = journal._parts.writer

    class Broken:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

        def execute(self, text: str, *cells: object) -> sqlite3.Cursor:
            if text == at:
                raise error
            return self._connection.execute(text, *cells)  # type: ignore[arg-type]

    monkeypatch.setattr(writer, "_connection", Broken(writer._connection))


async def test_a_writer_with_a_bug_ends_the_journal_too(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would hear of an exception in a thread, and everybody would wait for ever."""
    told = Told()
    journal = await opening(on_failure=told)
    seen: list[object] = []
    monkeypatch.setattr("threading.excepthook", lambda args: seen.append(args.exc_type))
    _break(journal, monkeypatch, "COMMIT", ZeroDivisionError("a bug"))
    with pytest.raises(JournalError, match="error of its own"):
        await journal.append([submitted_order()])
    await told.event.wait()
    await journal.close()
    assert seen == [ZeroDivisionError]


async def test_a_failed_checkpoint_ends_the_journal(opening: Opening) -> None:
    told = Told()
    journal = await opening(on_failure=told)
    journal._parts.checkpointer._connection.close()
    journal._parts.checkpointer._due.set()
    await told.event.wait()
    with pytest.raises(JournalError):
        await journal.append([submitted_order()])


async def test_what_cannot_be_written_down_is_its_callers_error_alone(opening: Opening) -> None:
    journal = await opening()
    bad = submitted_order(strategy="\ud800")
    other = asyncio.ensure_future(journal.append([submitted_order()]))
    with pytest.raises(UnicodeEncodeError):
        await journal.append([bad])
    ((recorded,),) = await asyncio.gather(other)
    assert recorded.order.sequence == 2
    assert (await journal.append([Append(steps=submitted_order().steps)]))[0].order.sequence == 4


async def test_a_disk_that_cannot_be_read_ends_the_journal(opening: Opening) -> None:
    told = Told()
    journal = await opening(on_failure=told)
    (recorded,) = await journal.append([submitted_order()])
    journal._parts.points._connection.close()
    with pytest.raises(JournalError, match="read"):
        journal.load(recorded.order.order_id)
    with pytest.raises(JournalError):
        journal.find_key("paper", "k")
    assert len(told.errors) == 1
    with pytest.raises(JournalError):
        await journal.append([submitted_order()])


async def test_a_list_that_fails_ends_the_journal(opening: Opening, database: Path, runner: Runner) -> None:
    told = Told()
    journal = await opening(on_failure=told, runner=runner)
    await journal.append([submitted_order()])
    with sqlite3.connect(database) as other:
        other.execute("ALTER TABLE order_events RENAME COLUMN body TO corpse")
    other.close()
    with pytest.raises(JournalError, match="read"):
        await journal.events_after(0, limit=1)
    assert len(told.errors) == 1


async def test_reading_a_closed_journal_is_late_and_no_failure(opening: Opening, runner: Runner) -> None:
    told = Told()
    journal = await opening(on_failure=told, runner=runner)
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.load("o")
    with pytest.raises(JournalError, match="closed"):
        await journal.mark("m")
    assert told.errors == []


async def test_a_list_whose_caller_leaves_harms_no_other(opening: Opening) -> None:
    told = Told()
    journal = await opening(on_failure=told)
    await journal.append([submitted_order() for _ in range(200)])
    for _ in range(10):
        readers = [asyncio.create_task(journal.events_after(0, limit=400)) for _ in range(20)]
        await asyncio.sleep(0)
        for reader in readers[::2]:
            reader.cancel()
        results = await asyncio.gather(*readers, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
        assert all(not isinstance(result, BaseException) and len(result) == 400 for result in results[1::2])
    for delay_s in (0.0005, 0.001, 0.002, 0.004):
        late = asyncio.create_task(journal.events_after(0, limit=400))
        await asyncio.wait({late}, timeout=delay_s)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
    assert len(await journal.events_after(0, limit=400)) == 400
    assert told.errors == []


async def test_a_listener_that_fails_ends_the_journal_and_leaves_nobody_waiting(opening: Opening) -> None:
    told = Told()
    journal = await opening(on_failure=told)
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context["exception"]))

    def fail(_entries: object) -> None:
        raise LookupError("a bug")

    journal.listen(fail)
    with pytest.raises(JournalError, match="listener"):
        await journal.append([submitted_order()])
    assert len(told.errors) == 1
    assert [type(error) for error in unheard] == [LookupError]
