"""Migrations: what they make is what the tables say, and many may upgrade at the same time."""

from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import Connection
from psycopg.rows import TupleRow
from sqlalchemy import create_engine, text

from ledger.config import Settings
from projections import schema
from projections.connecting import connect
from projections.tables import METADATA


def test_many_upgrade_at_once_and_one_does_it(settings: Settings) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: schema.upgrade(settings), range(6)))
    assert sorted(len(one.pending) for one in found) == [0, 0, 0, 0, 0, 1]
    assert schema.status(settings).pending == ()


def test_the_migrations_make_what_the_tables_say(upgraded: Settings) -> None:
    name = upgraded.database.table_schema

    def dial() -> Connection[TupleRow]:
        connection = connect(upgraded)
        connection.execute(f'SET search_path = "{name}"'.encode())
        connection.autocommit = False
        return connection

    engine = create_engine("postgresql+psycopg://", creator=dial)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_name": lambda found, kind, _: not (kind == "table" and found == schema.VERSION_TABLE)}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []
        assert connection.execute(text("SELECT count(*) FROM running_executions")).scalar() == 0
    engine.dispose()


def test_an_upgrade_leaves_other_schemas_alone(upgraded: Settings) -> None:
    with connect(upgraded) as connection:
        query = "SELECT count(*) FROM pg_tables WHERE tablename = 'job_executions' AND schemaname = %s"
        assert connection.execute(query, ("public",)).fetchone() == (0,)
        assert connection.execute(query, (upgraded.database.table_schema,)).fetchone() == (1,)
