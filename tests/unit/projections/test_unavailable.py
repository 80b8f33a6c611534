"""What is said when Postgres does not do what it is asked: away, not letting us in, or held up."""

import pytest
from psycopg import Error, OperationalError
from psycopg.errors import (
    CharacterNotInRepertoire,
    InsufficientPrivilege,
    LockNotAvailable,
    ProgramLimitExceeded,
    QueryCanceled,
    ReadOnlySqlTransaction,
    UndefinedTable,
)
from pydantic import SecretStr

from ledger.config import Settings
from ledger.config.settings import Database
from ledger.core.refusal import Conflict, LedgerError, Misconfigured, Unavailable
from projections import connecting
from projections.connecting import connected, unavailable

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


class Closing:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("error", "told", "words"),
    [
        (UndefinedTable("relation does not exist"), Misconfigured, "run `jobledger db upgrade`"),
        (InsufficientPrivilege("permission denied for schema x"), Misconfigured, "may not do this at 127.0.0.1:9/x (permission denied"),
        (CharacterNotInRepertoire("invalid byte sequence"), Conflict, "does not take a row that follows from the log (invalid byte"),
        (ProgramLimitExceeded("index row requires 60016 bytes"), Conflict, "does not take a row that follows from the log (index row"),
        (OperationalError(AWAY), Unavailable, "does not answer"),
        (ReadOnlySqlTransaction("cannot execute DELETE"), Unavailable, "at 127.0.0.1:9/x only reads (cannot execute DELETE)"),
    ],
)
def test_who_works_on_a_connection_hears_it_in_words(
    monkeypatch: pytest.MonkeyPatch, error: Error, told: type[LedgerError], words: str
) -> None:
    connection = Closing()
    monkeypatch.setattr(connecting, "connect", lambda settings: connection)
    with pytest.raises(told) as raised, connected(settings()):
        raise error
    assert words in str(raised.value)
    assert connection.closed
