"""Connections to Postgres with our settings in one place, and what to say when it does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from psycopg import Connection, DataError, OperationalError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import (
    InsufficientPrivilege,
    InvalidSchemaName,
    LockNotAvailable,
    ProgramLimitExceeded,
    QueryCanceled,
    ReadOnlySqlTransaction,
    StatementTooComplex,
    UndefinedColumn,
    UndefinedTable,
)
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core.refusal import Conflict, Misconfigured, Unavailable

PARAMETERS: Final = (
    "connect_timeout=5 application_name=jobledger keepalives_idle=5 keepalives_interval=2 keepalives_count=3 options='-c timezone=UTC'"
)
NEVER: Final = (DataError, ProgramLimitExceeded, StatementTooComplex)  # however often it is tried: what Postgres says of values
CANCEL_PATIENCE: Final = 2.0  # seconds
_UNTOLD: Final = "the address in database.url"
_REFUSED: Final = "FATAL:"
_NOT_NOW: Final = ("is starting up", "is shutting down", "in recovery mode", "not yet accepting", "too many ", "slots are reserved")


def url_of(settings: Settings) -> str:
    """The URL as psycopg takes it; SQLAlchemy's form is understood too."""
    return settings.database.url.get_secret_value().replace("postgresql+psycopg://", "postgresql://", 1)


def conninfo_of(settings: Settings) -> str:
    """The URL with our parameters; what the URL itself says wins. Raises `Misconfigured`, without the URL, if it is none."""
    try:
        said = conninfo_to_dict(url_of(settings))
    except psycopg.ProgrammingError:
        raise Misconfigured(
            "`database.url` is no address of PostgreSQL: expected is one like postgresql://user@127.0.0.1:5432/database?sslmode=require, "
            "with what is special in a password as %-codes (`%` is %25, `/` is %2F)"
        ) from None  # its words quote the address, where the password is
    return make_conninfo("", **{**conninfo_to_dict(PARAMETERS), **said})


def address_of(settings: Settings) -> str:
    """Where Postgres should be, without user and password."""
    with suppress(psycopg.Error):
        parts = conninfo_to_dict(url_of(settings))
        address = f"{parts.get('host') or '127.0.0.1'}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"
        if "@" not in address:  # a password with `/` or `@` in it is read as host or database
            return address
    return _UNTOLD


def connect(settings: Settings) -> Connection[TupleRow]:
    """A connection in autocommit. Raises `Unavailable` with the address."""
    try:
        return psycopg.connect(conninfo_of(settings), autocommit=True)
    except OperationalError as error:
        raise unavailable(settings, error) from error


@contextmanager
def connected(settings: Settings) -> Iterator[Connection[TupleRow]]:
    """The same for as long as it is needed, and what goes wrong meanwhile in words. Raises `Unavailable`, `Misconfigured`, `Conflict`."""
    connection = connect(settings)
    try:
        yield connection
    except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
        raise not_upgraded(settings) from error
    except InsufficientPrivilege as error:
        raise not_allowed(settings, error) from error
    except NEVER as error:  # some of them are operational errors
        raise Conflict(
            f"Postgres at {address_of(settings)} does not take a row that follows from the log ({first_line(error)}): "
            "change the fold that makes it"
        ) from error
    except (OperationalError, ReadOnlySqlTransaction) as error:
        raise unavailable(settings, error) from error
    finally:
        connection.close()


def break_off(connection: Connection[TupleRow]) -> None:
    """End the statement that another thread waits for, if there is one: it raises there. A server that is dead is asked in vain."""
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=CANCEL_PATIENCE)


def unavailable(settings: Settings, error: BaseException) -> Unavailable:
    """What to say of a server that is away, of one that does not let us in, of one that only reads, and of one that is held up."""
    address = address_of(settings)
    said = "write `@` in a password as %40, `/` as %2F" if address == _UNTOLD else first_line(error)
    if isinstance(error, QueryCanceled | LockNotAvailable):
        return Unavailable(
            f"Postgres at {address} did not come to an end in time ({said}): another transaction holds a table, or there is too much to "
            "read; the view pg_stat_activity names who is at work"
        )
    if isinstance(error, ReadOnlySqlTransaction):
        return Unavailable(f"Postgres at {address} only reads ({said}): name the server that it is a copy of in JOBLEDGER_DATABASE__URL")
    if _REFUSED in said and not any(words in said for words in _NOT_NOW):  # a server does not tell its sqlstate to whom it does not let in
        return Unavailable(f"Postgres at {address} does not let us in ({said}): see user, password and database in JOBLEDGER_DATABASE__URL")
    return Unavailable(f"Postgres does not answer at {address} ({said}): start it (`jobledger stack start`) or set JOBLEDGER_DATABASE__URL")


def first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def not_upgraded(settings: Settings) -> Misconfigured:
    return Misconfigured(
        f"the schema {settings.database.table_schema!r} at {address_of(settings)} has no tables of this version: run `jobledger db upgrade`"
    )


def not_allowed(settings: Settings, error: BaseException) -> Misconfigured:
    return Misconfigured(
        f"the user of database.url may not do this at {address_of(settings)} ({first_line(error)}): grant it, or name another user"
    )
