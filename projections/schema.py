"""The schema's DDL, brought up to date by Alembic: in one transaction, and by one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from ledger.config import Settings
from ledger.core.refusal import Conflict, Misconfigured
from projections.connecting import conninfo_of, not_allowed, unavailable
from projections.tables import VERSION_TABLE

__all__ = ["VERSION_TABLE", "Status", "check", "status", "upgrade"]

_IS_THERE: Final = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :name)")
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"


@dataclass(frozen=True, slots=True)
class Status:
    """`current` is None where there is nothing yet; the schema is right if it equals `wanted`."""

    current: str | None
    wanted: str
    pending: tuple[str, ...]  # what an upgrade would do, in order


def upgrade(settings: Settings) -> Status:
    """Bring the schema to this version; nothing if it is there already. Whoever comes meanwhile waits, then finds it done."""
    schema = settings.database.table_schema
    with _transaction(settings) as connection:
        connection.execute(text(_LOCK), {"name": f"jobledger upgrade {schema}"})
        before = _status(connection, schema)
        if before.pending:
            if not connection.execute(_IS_THERE, {"name": schema}).scalar():  # `IF NOT EXISTS` asks for the right to make one first
                connection.execute(CreateSchema(schema, if_not_exists=True))
            command.upgrade(_config(schema, connection), "head")
    return before


def status(settings: Settings) -> Status:
    """Raises `Conflict` where a newer program has been at work."""
    with _transaction(settings) as connection:
        return _status(connection, settings.database.table_schema)


def check(settings: Settings) -> None:
    """Raises `Misconfigured` where an upgrade has something to do."""
    found = status(settings)
    if found.pending:
        raise Misconfigured(
            f"the schema {settings.database.table_schema!r} is of version {found.current or 'none'}, this program's is {found.wanted}: "
            "run `jobledger db upgrade` first"
        )


@contextmanager
def _transaction(settings: Settings) -> Iterator[Connection]:
    engine = create_engine("postgresql+psycopg://", poolclass=NullPool, creator=lambda: psycopg.connect(conninfo_of(settings)))
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, psycopg.OperationalError) as error:
        match getattr(error, "orig", None) or error:
            case InsufficientPrivilege() as said:
                raise not_allowed(settings, said) from error
            case psycopg.OperationalError() | ReadOnlySqlTransaction() as said:
                raise unavailable(settings, said) from error
        raise


def _status(connection: Connection, schema: str) -> Status:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "version_table_schema": schema})
    current = context.get_current_revision()
    scripts = ScriptDirectory.from_config(_config(schema, connection))
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise Conflict(
            f"the schema {schema!r} is of version {current}, this program knows those up to {scripts.get_current_head()}: a newer program "
            "upgraded it, install that one"
        )
    pending = [script for script in scripts.iterate_revisions("head", current or "base") if script.revision != current]
    return Status(current, scripts.get_current_head() or "", tuple(f"{one.revision} {one.doc}" for one in reversed(pending)))


def _config(schema: str, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "projections:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes.update(schema=schema, connection=connection)
    return config
