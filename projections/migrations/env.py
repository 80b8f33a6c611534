"""Run by Alembic with the connection and the schema that `projections.schema` hands over; the transaction is the caller's."""

from alembic import context
from sqlalchemy import Connection, text

from projections.schema import VERSION_TABLE


def run() -> None:
    connection, schema = context.config.attributes["connection"], context.config.attributes["schema"]
    assert isinstance(connection, Connection) and isinstance(schema, str)
    connection.execute(text("SELECT set_config('search_path', :schema, true)"), {"schema": f'"{schema}"'})
    context.configure(connection=connection, version_table=VERSION_TABLE, version_table_schema=schema)
    context.run_migrations()


run()
