"""Where Postgres should be, in words, without a word of its password."""

import pytest
from psycopg import OperationalError
from pydantic import SecretStr

from ledger.config import Settings
from ledger.config.settings import Database
from ledger.core.refusal import Misconfigured
from projections.connecting import address_of, conninfo_of, unavailable


def at(url: str) -> Settings:
    return Settings(database=Database(url=SecretStr(url)))


@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter2@db:5433/x", "postgresql://db:5433/x?password=hunter2", "host=db port=5433 dbname=x password=hunter2"]
)
def test_the_address_is_host_port_and_database(url: str) -> None:
    assert address_of(at(url)) == "db:5433/x"


def test_an_address_that_was_read_otherwise_than_meant_is_not_told() -> None:
    said = str(unavailable(at("postgresql://me:1@hunter2@db/x"), OperationalError("failed to resolve host 'hunter2@db'")))
    assert "Postgres does not answer at the address in database.url" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("url", ["postgresql://me:hunter2%@db/x", "host=db hunter2", "postgresql://db/x?pasword=hunter2"])
def test_what_is_no_address_is_told_without_it(url: str) -> None:
    with pytest.raises(Misconfigured, match="is no address of PostgreSQL") as error:
        conninfo_of(at(url))
    assert "hunter2" not in str(error.value)
    assert error.value.__suppress_context__
