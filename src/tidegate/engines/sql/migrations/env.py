"""What Alembic runs: every revision on the connection it was given, in that connection's transaction.

Given a schema's name instead, it writes the revisions down as SQL for that schema of a PostgreSQL store.
"""

from alembic import context
from sqlalchemy import Connection


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


def _write(schema: str) -> None:
    context.configure(dialect_name="postgresql+asyncpg", transactional_ddl=False, version_table_schema=schema)
    context.run_migrations()


_given = context.config.attributes.get("connection")
if context.is_offline_mode():
    _write(str(context.config.attributes["schema"]))
elif isinstance(_given, Connection):
    _run(_given)
else:
    raise TypeError("migrations run through `upgrade`, which opens the connection")
