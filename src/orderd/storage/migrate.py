"""Bringing a journal's tables to what this build knows, before anything is served and under the lock.

Each migration is one explicit transaction: killed in the middle, it has not happened, and the next start runs it. An
existing journal is copied first. A journal that a newer build has migrated is refused untouched.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, StaticPool, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from orderd.storage.connect import open_async, open_writer, read_only_uri, translated, writing_uri
from orderd.storage.errors import JournalSchemaError
from orderd.storage.schema import REVISION

VERSION_TABLE = "orderd_schema"
SCRIPTS = Path(__file__).with_name("migrations")


async def migrate(path: Path, *, has_threads: bool) -> None:
    """Create or upgrade the tables of the file at `path`. Raises OpenError; the caller holds the lock."""
    found = revision(path)
    if found == REVISION:
        return
    if found:
        _back_up(path, found)
    if not has_threads:
        with closing(open_writer(path)) as raw:
            inline = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
            with inline.connect() as connection:
                upgrade(connection)
            inline.dispose()
        return
    engine = create_async_engine("sqlite+aiosqlite://", async_creator=lambda: open_async(path, is_writer=True))
    try:
        async with engine.connect() as async_connection:
            await async_connection.run_sync(upgrade)
    finally:
        await engine.dispose()


def upgrade(connection: Connection, to: str = "head") -> None:
    """Run the scripts that are missing up to a revision."""
    # Alembic is slow to import, and most starts have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    event.listen(connection, "begin", _begin)
    command.upgrade(config, to)


def _begin(connection: Connection) -> None:
    # The drivers are in autocommit, so that a BEGIN is only ever said here. IMMEDIATE: it will write.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def revision(path: Path) -> str:
    """Return the revision the file is at, empty for a file without tables. Raises OpenError."""
    if not path.exists() or path.stat().st_size == 0:
        return ""
    with translated(path), closing(sqlite3.connect(_readable_uri(path), uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return ""
        if VERSION_TABLE not in tables:
            raise JournalSchemaError(f"{path} is a database of something else: it has tables and none of them is ours")
        row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    found = str(row[0]) if row else ""
    if found > REVISION:
        raise JournalSchemaError(
            f"{path} has schema revision {found}, and this build knows revisions up to {REVISION}: it was written by a "
            "newer orderd; start that one, or restore the backup that its upgrade made beside the journal"
        )
    return found


def _readable_uri(path: Path) -> str:
    """Return the URI to look at a file with, changing nothing in it unless its own rollback journal says so.

    A process that died while it began a journal leaves a half-written file with a rollback journal beside it. Only a
    connection that may write can put that back, and without it nobody can read the file at all.
    """
    is_half_written = path.with_name(path.name + "-journal").exists()
    return f"{writing_uri(path)}?mode=rw" if is_half_written else read_only_uri(path)


def _back_up(path: Path, revision: str) -> Path:
    """Copy the journal as it is beside itself, complete or not at all. Returns the copy's path."""
    copy = path.with_name(f"{path.name}.before-upgrade-from-{revision}")
    unfinished = copy.with_name(copy.name + ".tmp")
    unfinished.unlink(missing_ok=True)
    with (
        translated(path),
        closing(sqlite3.connect(read_only_uri(path), uri=True)) as source,
        closing(sqlite3.connect(unfinished)) as target,
    ):
        source.backup(target)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(copy)
    return copy
