"""How alembic reaches the journal: on the connection that `migrate.upgrade` hands over, and in no other way."""

from alembic import context

from orderd.storage.migrate import VERSION_TABLE
from orderd.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite does have transactional DDL once BEGIN is said by us: each script happens or does not.
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
