"""A transaction in which the tables of a projection stand still for the reader, while others go on writing."""

from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from projections.differences import POSITIONS
from projections.projection import Projection
from projections.writing import SESSION


def see_one_moment(connection: Connection[TupleRow], schema: str, projection: Projection, suffix: str) -> None:
    """Locked before it begins, so that no swap comes between the tables."""
    connection.autocommit = False
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    tables = [POSITIONS, *(form.table + suffix for form in projection.forms)]
    names = SQL(", ").join(Identifier(schema, table) for table in tables)
    connection.execute(SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
    for setting in SESSION:
        connection.execute(setting)
