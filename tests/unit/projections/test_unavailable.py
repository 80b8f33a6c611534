"""What is said when Postgres does not do what it is asked: away, not letting us in, or held up."""

import pytest
from psycopg import OperationalError
from psycopg.errors import LockNotAvailable, QueryCanceled
from pydantic import SecretStr

from ledger.config import Settings
from ledger.config.settings import Database
from projections.connecting import unavailable

AWAY = 'connection failed: connection to server at "127.0.0.1", port 9 failed: Connection refused'
BUSY = 'connection failed: connection to server at "127.0.0.1", port 9 failed: FATAL:  sorry, too many clients already'
REFUSED = 'connection failed: connection to server at "127.0.0.1", port 9 failed: FATAL:  password authentication failed for user "u"'


def settings(url: str = "postgresql://u:hunter2@127.0.0.1:9/x") -> Settings:
    return Settings(database=Database(url=SecretStr(url)))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError(AWAY), "does not answer at 127.0.0.1:9/x (connection failed"),
        (OperationalError(BUSY), "does not answer at 127.0.0.1:9/x (connection failed"),
        (OperationalError(REFUSED), "at 127.0.0.1:9/x does not let us in (connection failed"),
        (QueryCanceled("canceling statement due to statement timeout"), "at 127.0.0.1:9/x did not come to an end in time (canceling"),
        (LockNotAvailable("canceling statement due to lock timeout"), "another transaction holds a table"),
    ],
)
def test_each_is_told_apart(error: OperationalError, words: str) -> None:
    said = str(unavailable(settings(), error))
    assert words in said
    assert ("jobledger stack start" in said) == (error.args in ((AWAY,), (BUSY,)))
    assert "hunter2" not in said
