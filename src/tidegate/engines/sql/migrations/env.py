"""What Alembic runs: every revision on the connection it was given, in that connection's transaction."""

from alembic import context
from sqlalchemy import Connection


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


_given = context.config.attributes["connection"]
if not isinstance(_given, Connection):
    raise TypeError("migrations run through `upgrade`, which opens the connection")
_run(_given)
