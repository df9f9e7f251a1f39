"""One point each: where it strikes, and what must hold afterwards. A point is a line of words.

    kill BASE SEED N TEAR [M TEAR]      kill the first life at its Nth change of a file, the second at its Mth
    power BASE SEED N TEAR STYLE        kill, and the disk keeps of what was not synced what it likes
    fault BASE SEED ERROR N once|ever   the Nth call fails with this error (and every later one)

The same line is the same run. BASE is what the life that is struck finds: `new` nothing at all, `trading` an empty
journal, `old` that of an earlier release with orders in it. TEAR: sixteenths of the last write that still happen.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import StaticPool, create_engine

from orderd.storage.connect import open_writer
from orderd.storage.migrate import upgrade
from orderd.storage.schema import REVISION
from tests.crash.history import KILLED, History, revision_of
from tests.crash.life import BUG, CANNOT_OPEN, ENDED, FAILED
from tests.crash.shim import FAULTS, Plan, Shim, read_trace

OLDEST = "0001"
BASES = ("new", "trading", "old")
_empty: dict[int, dict[str, bytes]] = {}


class Room:
    """Where points are tried, one after the other."""

    def __init__(self, folder: Path, shim: Shim) -> None:
        """Everything happens below `folder`."""
        self.folder = folder
        self.shim = shim

    def history(self, base: str, seed: int, *, is_traced: bool = False) -> History:
        """A history whose next life finds what `base` says."""
        begun = History(self.folder / "history", self.shim, seed=seed, is_traced=is_traced)
        match base:
            case "trading":
                begun.put(self._empty_journal(seed))
            case "old":
                begun.put(self._empty_journal(seed))
                assert begun.life() == ENDED, begun.said()
                age(begun.database)
                # A server that was killed leaves its log: nobody who finds it makes the name last.
                begun.put({"orderd.db": begun.database.read_bytes(), "orderd.db-wal": b""})
                if begun.trace is not None:
                    begun.trace.unlink()
            case _:
                assert base == "new", base
        return begun

    def _empty_journal(self, seed: int) -> dict[str, bytes]:
        """A journal that has begun and holds nothing: what most points start with, because migrating takes a while.

        It knows its account's number, which the venue drew from the seed.
        """
        if seed not in _empty:
            first = History(self.folder / "first", self.shim, seed=seed, orders=0)
            assert first.life() == ENDED, first.said()
            _empty[seed] = {"orderd.db": first.database.read_bytes()}
        return _empty[seed]

    def calls(self, base: str, seed: int, plan: Plan) -> int:
        """How many calls of the planned kinds a life makes that nothing happens to."""
        begun = self.history(base, seed)
        assert begun.life(plan) == ENDED, begun.said()
        return begun.counted


def age(database: Path) -> None:
    """Make the journal what the first release would have left: its tables, without what later ones added."""
    old = database.with_name("older.db")
    with closing(open_writer(old)) as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            upgrade(connection, OLDEST)
        engine.dispose()  # and with it the connection
    with closing(open_writer(old)) as raw:
        raw.execute("ATTACH DATABASE ? AS now", (str(database),))
        raw.execute("BEGIN")
        tables = [name for (name,) in raw.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table in {"orderd_schema", "sqlite_sequence"}:
                continue
            names = ", ".join(row[1] for row in raw.execute(f"PRAGMA main.table_info({table})"))
            raw.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM now.{table}")
        raw.execute("COMMIT")
    old.replace(database)


def kill(room: Room, words: list[str]) -> None:
    """Everything that was said is there, whole; the next start goes on, also when it is killed itself."""
    base, seed, *strikes = words
    begun = room.history(base, int(seed))
    for number in range(0, len(strikes), 2):
        plan = Plan(at=int(strikes[number]), tear=int(strikes[number + 1]))
        code = begun.life(plan)
        assert code in {KILLED, ENDED}, f"ended with {code}: {begun.evidence.reasons[-1:]} {begun.said()}"
        begun.holds_now()
        _copy_before_upgrade(begun, base)
    begun.ends_well()
    _copy_before_upgrade(begun, base)


def _copy_before_upgrade(begun: History, base: str) -> None:
    """No journal is upgraded before there is a whole copy of it."""
    if base != "old" or revision_of(begun.copy()) != REVISION:
        return
    copy = begun.database.with_name(f"orderd.db.before-upgrade-from-{OLDEST}")
    assert copy.exists(), "upgraded without a copy"
    with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert reader.execute("SELECT count(*) FROM order_events").fetchone()[0] > 0


def power(room: Room, words: list[str]) -> None:
    """The same after a power cut, with the venue that lives on as the referee."""
    base, seed, at, tear, style = words
    begun = room.history(base, int(seed), is_traced=True)
    code = begun.life(Plan(at=int(at), tear=int(tear)))
    assert code in {KILLED, ENDED}, begun.said()
    disk = begun.given
    assert begun.trace is not None
    for record in read_trace(begun.trace):
        disk.feed(record)
    begun.put(disk.after_a_cut(int(at), style))
    _copy_before_upgrade(begun, base)
    begun.holds_now()
    begun.ends_well()


def fault(room: Room, words: list[str]) -> None:
    """The process ends and says why; nobody is told a lie; the next start heals."""
    base, seed, error, at, how = words
    number, kinds = FAULTS[error]
    begun = room.history(base, int(seed))
    code = begun.life(Plan(at=int(at), kinds=int(kinds), error=number, is_for_ever=how == "ever"))
    assert code != BUG, begun.said()
    evidence = begun.evidence
    if code in {FAILED, CANNOT_OPEN}:
        assert evidence.reasons, "it ended without a reason"
        assert len(evidence.reasons[-1]) > 20, evidence.reasons
    else:
        assert code == ENDED, code
        done = [step for step in evidence.steps if step != "told"]  # closing writes what was handed over before
        assert done[-1] == "through", "it ended early and did not say why"
    _no_verdicts(begun)
    begun.holds_now()
    begun.ends_well()
    _no_verdicts(begun)


def _no_verdicts(begun: History) -> None:
    """A disk that fails is no word of the broker's: nobody may hear that an order was refused."""
    lies = sorted({state for state in begun.evidence.states if state in {"REJECTED", "DENIED"}})
    assert not lies, f"a caller was told {lies}"


KINDS: dict[str, Callable[[Room, list[str]], None]] = {"kill": kill, "power": power, "fault": fault}
