"""Upgrades: the scripts build what the code believes in, each is all or nothing, and a newer journal is refused."""

# ruff: noqa: ASYNC240 - nothing else runs on these loops

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import StaticPool, create_engine

from orderd.storage import InlineRunner, JournalSchemaError, SqliteJournal, doctor, migrate, schema
from orderd.storage.connect import open_writer
from orderd.storage.runner import Runner, ThreadRunner
from tests.reach import Reached
from tests.storage.conftest import Opening
from tests.storage.integrity import check
from tests.storage.making import submitted_order

NEXT = '''"""A change of a later release."""

from alembic import op

revision = "{number}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, then maybe meet an obstacle."""
    op.execute("ALTER TABLE marks ADD COLUMN note TEXT")
    {obstacle}
'''


def _tables(path: Path) -> dict[str, object]:
    """Every table and index as SQLite understands it: a column that a script added stands where it stands."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        return {
            name: _columns(connection, name) if kind == "table" else " ".join(sql.split()) for kind, name, sql in rows
        }


def _columns(connection: sqlite3.Connection, table: str) -> object:
    described = connection.execute(f"PRAGMA table_list({table})").fetchall()
    columns = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
    return described, columns, connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()


def _revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute(f"SELECT version_num FROM {migrate.VERSION_TABLE}").fetchone()[0])


def test_the_newest_script_is_the_revision_this_build_knows() -> None:
    scripts = ScriptDirectory(str(migrate.SCRIPTS))
    assert scripts.get_heads() == [schema.REVISION]
    numbers = [script.revision for script in scripts.walk_revisions()]
    assert numbers == sorted(numbers, reverse=True), "later scripts have later numbers"


async def test_the_scripts_build_the_tables_of_the_code(opening: Opening, database: Path, tmp_path: Path) -> None:
    await (await opening()).close()
    direct = tmp_path / "direct.db"
    engine = create_engine(f"sqlite:///{direct}")
    schema.metadata.create_all(engine)
    engine.dispose()
    built = _tables(database)
    del built[migrate.VERSION_TABLE]
    assert built == _tables(direct)


async def test_no_column_is_a_float(opening: Opening, database: Path) -> None:
    await (await opening()).close()
    with closing(sqlite3.connect(database)) as connection:
        for table in schema.metadata.tables:
            for column in connection.execute(f"PRAGMA table_info({table})"):
                assert column[2] in {"TEXT", "INTEGER", "BLOB"}, (table, column)


@pytest.fixture(params=["thread", "inline"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Migrations run on the reader's engine or, in a simulation, without a thread."""
    return ThreadRunner() if request.param == "thread" else InlineRunner(lambda: 0.0)


@pytest.fixture
def tomorrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build that knows one script more; the test writes it."""
    scripts = tmp_path / "scripts"
    (scripts / "versions").mkdir(parents=True)
    for script in (migrate.SCRIPTS / "env.py", *(migrate.SCRIPTS / "versions").glob("0*.py")):
        (scripts / script.relative_to(migrate.SCRIPTS)).write_text(script.read_text())
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)
    return scripts / "versions" / "9998_later.py"


async def _old_journal(opening: Opening) -> str:
    journal = await opening()
    await journal.append([submitted_order() for _ in range(5)])
    await journal.close()
    return journal.journal_id


async def test_an_upgrade_copies_the_journal_first_and_keeps_what_is_in_it(
    opening: Opening, database: Path, tomorrow: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await _old_journal(opening)
    tomorrow.write_text(NEXT.format(number="9998", before=schema.REVISION, obstacle=""))
    monkeypatch.setattr(migrate, "REVISION", "9998")
    monkeypatch.setattr(doctor, "REVISION", "9998")
    journal = await opening(runner=runner)
    assert (journal.journal_id, journal.head) == (name, 10)
    await journal.append([submitted_order()])
    await journal.close()
    assert _revision(database) == "9998"
    assert "note" in str(_tables(database)["marks"])
    check(database)
    copy = database.with_name(f"orderd.db.before-upgrade-from-{schema.REVISION}")
    assert _revision(copy) == schema.REVISION
    assert check(copy).head == 10
    assert not list(database.parent.glob("*.tmp"))


async def test_a_migration_that_dies_has_not_happened_and_the_next_start_resumes(
    opening: Opening, database: Path, tomorrow: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _old_journal(opening)
    monkeypatch.setattr(migrate, "REVISION", "9998")
    monkeypatch.setattr(doctor, "REVISION", "9998")
    tomorrow.write_text(NEXT.format(number="9998", before=schema.REVISION, obstacle="raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        await opening(runner=runner)
    assert _revision(database) == schema.REVISION
    assert "note" not in str(_tables(database)["marks"])
    tomorrow.write_text(NEXT.format(number="9998", before=schema.REVISION, obstacle=""))
    journal: SqliteJournal = await opening()
    assert journal.head == 10
    assert _revision(database) == "9998"


async def test_an_older_build_refuses_a_newer_journal_and_leaves_it_alone(
    opening: Opening, database: Path, reached: Reached
) -> None:
    await _old_journal(opening)
    with closing(open_writer(database)) as connection:
        connection.execute(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'")
    before = _tables(database)
    with pytest.raises(
        JournalSchemaError, match=f"revision 9999, and this build knows revisions up to {schema.REVISION}"
    ):
        await opening()
    assert _revision(database) == "9999"
    assert _tables(database) == before
    assert not list(database.parent.glob("*.before-upgrade*"))
    reached("P19", "newer journals refused by an older build, untouched", 1)


def test_a_script_runs_on_any_connection_that_is_handed_over(database: Path) -> None:
    with closing(open_writer(database)) as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            migrate.upgrade(connection)
        engine.dispose()
    assert _revision(database) == schema.REVISION
