"""A history: lives of a trading process on one journal and one venue, what they were told, and what must hold.

The venue and the record of what was said are in this process; each life is a fork of it, with the shim between it and
its files. So a life costs a fork and not a start of Python, and a kill takes nothing with it but the life.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import msgspec

from oms.v1 import order_pb2 as opb
from orderd.storage.migrate import VERSION_TABLE
from orderd.storage.schema import REVISION
from tests.crash.disk import Disk, write_image
from tests.crash.life import BUG, ENDED, Script, run
from tests.crash.remote import Host
from tests.crash.shim import Plan, Shim
from tests.e2e.books import Books
from tests.storage.integrity import Contents, check

LONGEST_S = 40
"""A life that goes round in circles is ended: a virtual clock would never stop it."""
KILLED = -int(signal.SIGKILL)


class Evidence:
    """What was said to somebody outside, and so may never become untrue."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.answered: dict[str, str] = {}
        """Order ids by key."""
        self.told: dict[int, str] = {}
        """Digests of event bytes by sequence."""
        self.sent: list[str] = []
        """Client ids that a broker was asked to trade."""
        self.states: list[str] = []
        """What a submit was answered: the state it was told."""
        self.unknown: list[str] = []
        """Keys whose caller was told that the outcome is not known."""
        self.reasons: list[str] = []
        """Why journals failed, or did not open."""
        self.steps: list[str] = []

    def hear(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Take note, and hold what contradicts an earlier word against the speaker."""
        self.steps.append(name)
        match name, arguments:
            case "told", (sequence, digest):
                assert self.told.setdefault(int(sequence), str(digest)) == digest, f"event {sequence} has changed"
            case "answered", (key, order_id, state):
                assert self.answered.setdefault(key, order_id) == order_id, f"{key} is another order now"
                self.states.append(state)
            case "sent", (client_order_id,):
                self.sent.append(client_order_id)
            case "unknown", (key,):
                self.unknown.append(key)
            case (("failed" | "refuses"), (reason,)):
                self.reasons.append(reason)
            case _:
                pass

    def hear_mark(self, word: str) -> None:
        """The same from a trace."""
        name, *arguments = word.split(" ")
        self.hear(name, (int(arguments[0]), *arguments[1:]) if name == "told" else tuple(arguments))

    def must_hold(self, database: Path) -> Contents:
        """Check a journal that nobody has open against all that was said. Raises AssertionError."""
        contents = check(database) if revision_of(database) == REVISION else _check_old(database)
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as reader:
            events = dict(reader.execute("SELECT sequence, body FROM order_events"))
            orders = dict(reader.execute("SELECT client_order_id, order_id FROM orders"))
        lost = sorted(set(self.told) - set(events))
        assert not lost, f"events {lost[0]} to {lost[-1]} were told and are lost; the journal ends at {contents.head}"
        for sequence, digest in self.told.items():
            found = hashlib.sha256(events[sequence]).hexdigest()[:16]
            assert found == digest, f"event {sequence} was told with other bytes"
        for key, order_id in self.answered.items():
            assert orders.get(key) == order_id, f"order {key} was acknowledged and is lost"
        unrecorded = [name for name in self.sent if name not in orders]
        assert not unrecorded, f"sent and not on record: {unrecorded}"
        return contents

    def says_anything(self) -> bool:
        """Whether anybody was told of anything that must last."""
        return bool(self.told or self.answered or self.sent)


class History:
    """One journal's folder, one venue, and the lives so far."""

    def __init__(self, folder: Path, shim: Shim, *, seed: int = 1, orders: int = 10, is_traced: bool = False) -> None:
        """A new history in an empty folder below `folder`."""
        self.folder = folder
        self.home = folder / "home"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.trace = folder / "trace" if is_traced else None
        self.given = Disk()
        """What lay there before the trace began."""
        self.evidence = Evidence()
        self.host = Host({"seed": seed}, self.evidence.hear)
        self.counted = 0
        """Calls of the planned kinds in the life that ended last by itself."""
        self._shim = shim
        self._seed = seed
        self._orders = orders
        self._lives = 0
        self._before: Callable[[], None] = lambda: None

    def before_each(self, change: Callable[[], None]) -> None:
        """Run this in every life before it begins: a build that is different."""
        self._before = change

    @property
    def database(self) -> Path:
        return self.home / "orderd.db"

    def life(self, plan: Plan | None = None, *, is_last: bool = False) -> int:
        """Live once; how it ended: see life.py, or minus the signal."""
        self._lives += 1
        script = Script(
            seed=self._seed,
            number=self._lives,
            orders=self._orders,
            is_last=is_last,
            starts=self.host.now + timedelta(seconds=1),
        )
        ours, theirs = Pipe()
        counts, told = os.pipe()
        child = os.fork()
        if child == 0:
            ours.close()
            os._exit(self._live(theirs, script, plan or Plan(), told))
        theirs.close()
        os.close(told)
        self.host.serve(ours)
        _, status = os.waitpid(child, 0)
        with os.fdopen(counts) as reader:
            self.counted = int(reader.read() or 0)
        return os.waitstatus_to_exitcode(status)

    def _live(self, pipe: Any, script: Script, plan: Plan, told: int) -> int:  # noqa: ANN401
        """In the fork. Nothing may leave it but its exit code."""
        try:
            signal.alarm(LONGEST_S)
            self._before()
            with (self.folder / "stderr").open("ab", buffering=0) as errors:
                os.dup2(errors.fileno(), 2)
            self._shim.watch(self.home, plan, self.trace)
            code = run(pipe, self.home, script, self._shim)
            os.write(told, str(self._shim.counted).encode())
        except BaseException:  # noqa: BLE001 - the parent shows what it was
            traceback.print_exc()
            sys.stderr.flush()
            return BUG
        return code

    def said(self) -> str:
        """The end of what the lives wrote on stderr."""
        errors = self.folder / "stderr"
        return errors.read_text(errors="replace")[-3000:] if errors.exists() else ""

    def copy(self) -> Path:
        """The journal as it lies there, copied: to look at it is to recover it, the next life's business."""
        copies = self.folder / "copy"
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir()
        for name in ("orderd.db", "orderd.db-wal", "orderd.db-journal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(self.home / name, copies / name)
        return copies / "orderd.db"

    def holds_now(self) -> None:
        """Whatever happened: the journal is whole and nothing that was said is missing."""
        copy = self.copy()
        if self.evidence.says_anything() or _has_tables(copy):
            self.evidence.must_hold(copy)

    def put(self, files: dict[str, bytes]) -> None:
        """Replace what is on the disk."""
        write_image(files, self.home)
        self.given = Disk()
        self.given.given(self.home)

    def ends_well(self) -> None:
        """Live once more without harm: everything comes to rest, and both sides' books say the same."""
        code = self.life(is_last=True)
        assert code == ENDED, f"the next start ended with {code}: {self.evidence.reasons[-1:]} {self.said()}"
        self.evidence.must_hold(self.database)
        ledger = self.host.ledger()
        books = Books(
            {
                "received": _rows(ledger.received),
                "orders": _rows(ledger.orders.values()),
                "executions": _rows(ledger.executions.values()),
            }
        )
        assert not (doubles := books.doubles()), doubles
        with closing(sqlite3.connect(self.database)) as reader:
            orders = [opb.Order.FromString(body) for (body,) in reader.execute("SELECT body FROM orders")]
            fills: dict[str, list[opb.Fill]] = {}
            for order_id, body in reader.execute("SELECT order_id, body FROM fills ORDER BY fill_number"):
                fills.setdefault(order_id, []).append(opb.Fill.FromString(body))
            kept = reader.execute("SELECT kind, subject FROM discrepancies WHERE resolved_us IS NULL").fetchall()
        differing = [d for order in orders for d in books.disagreements(order, fills.get(order.order_id, ()))]
        assert not differing, "\n".join(differing)
        assert not kept, kept
        left = [order.order_id for order in orders if not order.HasField("closed_time")]
        assert not left, left
        assert len({order.client_order_id for order in orders}) == self._orders == len(self.evidence.answered)


def revision_of(database: Path) -> str:
    """The schema revision of a journal that nobody has open."""
    with closing(sqlite3.connect(database)) as reader:
        return str(reader.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()[0])


def _check_old(database: Path) -> Contents:
    """A journal that waits for its migration: whole, as far as an older build's tables can be judged."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ((head,),) = connection.execute("SELECT head_sequence FROM journal_meta").fetchall()
        rows = connection.execute("SELECT sequence, order_id, version FROM order_events ORDER BY sequence").fetchall()
    assert [row[0] for row in rows] == list(range(1, head + 1))
    return Contents(head, {row[0]: (row[1], row[2]) for row in rows})


def _rows(values: Iterable[Any]) -> list[Any]:
    return [msgspec.to_builtins(row) for row in values]


def _has_tables(database: Path) -> bool:
    """Whether a journal began here: before its first migration was committed there is nothing to check."""
    if not database.exists():
        return False
    with closing(sqlite3.connect(database)) as reader:
        return bool(reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal_meta'").fetchall()) and bool(
            reader.execute("SELECT 1 FROM journal_meta").fetchall()
        )
