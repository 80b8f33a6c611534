"""Migrations: what they make is what the tables say, and many may upgrade at the same time."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier
from sqlalchemy import create_engine, text

from ledger.config import Settings
from ledger.config.settings import Database
from ledger.core.refusal import Conflict, Misconfigured, Unavailable
from projections import schema
from projections.builtin import TABLES
from projections.columns import METADATA
from projections.connecting import connect
from projections.migrations.versions import v0001_first_tables
from projections.rebuild import Progress, rebuild
from projections.table_sets import TableSet
from projections.tables import VIEWS


def test_many_upgrade_at_once_and_one_does_it(settings: Settings) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: schema.upgrade(settings), range(6)))
    assert sorted(len(one.pending) for one in found) == [0, 0, 0, 0, 0, 9]
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
        for view, query in VIEWS.items():
            columns = connection.execute(text(f"SELECT * FROM {view}")).keys()
            assert columns == connection.execute(text(query.format(schema=f'"{name}"'))).keys()
    engine.dispose()


def test_indexes_are_the_same_made_by_migrations_or_built_beside(upgraded: Settings) -> None:
    name = upgraded.database.table_schema

    def indexes(suffix: str) -> dict[str, tuple[str, list[str]]]:
        found = connection.execute(
            "SELECT c.relname, pg_get_indexdef(c.oid), coalesce(c.reloptions, '{}') FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid"
            " JOIN pg_class t ON t.oid = i.indrelid WHERE c.relnamespace = to_regnamespace(%s) AND t.relname = 'job_executions' || %s",
            (f'"{name}"', suffix),
        )
        return {
            index.removesuffix(suffix): (re.sub(r" WITH \([^)]*\)", "", made.partition(" USING ")[2]), sorted(options))
            for index, made, options in found
        }

    with connect(upgraded) as connection:
        beside = TableSet(connection, name, TABLES, "_beside")
        beside.create()
        beside.add_keys()
        beside.add_indexes()
        assert indexes("_beside") == indexes("")
        assert indexes("")["job_executions_requested"][1] == ["deduplicate_items=off", "fillfactor=50"]
        assert indexes("")["job_executions_pkey"][1] == ["fillfactor=50"]
        assert indexes("")["job_executions_state_finished"][1] == []


def test_tables_without_schedules_begin_anew(settings: Settings) -> None:
    """What was folded before lacks what the new tables hold: the log is folded again from its first commit."""
    name = settings.database.table_schema
    with connect(settings) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"'.encode())
        connection.execute(f'SET search_path = "{name}"'.encode())
        for statement in (
            *v0001_first_tables.STATEMENTS,
            "CREATE TABLE schema_migrations (version_num VARCHAR(32) PRIMARY KEY)",
            "INSERT INTO schema_migrations VALUES ('0001')",
            "INSERT INTO projection_positions VALUES ('tables', 1, 'registry', 0, 'L', 7, 6, 'd', 0, NULL, now())",
            "INSERT INTO job_definitions VALUES ('a', 'a', 'system', 'q', NULL, 'job', 'job:a', 0, 'active', 1, now(), now(), 0, 7, 0, 6)",
        ):
            connection.execute(statement.encode())
        assert [one[:4] for one in schema.upgrade(settings).pending] == ["0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009"]
        assert connection.execute("SELECT count(*) FROM projection_positions").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_a_schema_of_a_newer_program_is_left_to_it(upgraded: Settings, sql: Connection[TupleRow]) -> None:
    sql.execute("UPDATE schema_migrations SET version_num = '9999'")
    for act in (schema.status, schema.upgrade):
        with pytest.raises(Conflict, match=r"9999.*up to 0009"):
            act(upgraded)


def test_whoever_owns_the_schema_upgrades_it_and_who_may_not_make_one_hears_it(settings: Settings) -> None:
    role, name = f"{settings.prefix}_owner", settings.database.table_schema
    with connect(settings) as connection:
        connection.execute(SQL("CREATE ROLE {} LOGIN PASSWORD 'pw'").format(Identifier(role)))
        url = re.sub(r"//[^@/]*@", f"//{role}:pw@", settings.database.url.get_secret_value())
        theirs = settings.model_copy(update={"database": Database.model_validate({"url": url, "schema": name})})
        with pytest.raises(Misconfigured, match="grant it"):
            schema.upgrade(theirs)
        connection.execute(SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(Identifier(name), Identifier(role)))
        assert len(schema.upgrade(theirs).pending) == 9
        connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(name)))
        connection.execute(SQL("DROP ROLE {}").format(Identifier(role)))


def test_a_server_that_only_reads_is_no_bare_error_of_postgres(settings: Settings) -> None:
    url = f"{settings.database.url.get_secret_value()}?options=-c%20default_transaction_read_only%3Don"
    theirs = Database.model_validate({"url": url, "schema": settings.database.table_schema})
    with pytest.raises(Unavailable, match="only reads"):
        schema.upgrade(settings.model_copy(update={"database": theirs}))


async def test_nothing_is_rebuilt_before_the_schema_is_upgraded(upgraded: Settings, opened: object, sql: Connection[TupleRow]) -> None:
    """The indexes of a later version would stand in the way of the upgrade to it."""
    sql.execute("UPDATE schema_migrations SET version_num = '0006'")
    with pytest.raises(Misconfigured, match=r"0006.*0009.*jobledger db upgrade"):
        await rebuild(upgraded)


async def test_nothing_is_swapped_in_after_a_newer_program_upgraded(upgraded: Settings, opened: object, sql: Connection[TupleRow]) -> None:
    """What was built has not what the upgrade gave the tables in use."""

    def upgrade(progress: Progress) -> None:
        if progress.phase == "indexing":
            sql.execute("UPDATE schema_migrations SET version_num = '9999'")

    with pytest.raises(Conflict, match="a newer program upgraded it"):
        await rebuild(upgraded, upgrade)
    assert sql.execute("SELECT to_regclass('job_executions_next') IS NOT NULL").fetchone() == (True,)


def test_an_upgrade_leaves_other_schemas_alone(upgraded: Settings) -> None:
    with connect(upgraded) as connection:
        query = "SELECT count(*) FROM pg_tables WHERE tablename = 'job_executions' AND schemaname = %s"
        assert connection.execute(query, ("public",)).fetchone() == (0,)
        assert connection.execute(query, (upgraded.database.table_schema,)).fetchone() == (1,)
