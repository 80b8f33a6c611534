"""A backend of Postgres that computes does not notice that its postmaster was killed; it is ended, and is in nobody's way."""

import os
import pwd
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from ledger.stack import Stack
from ledger.stack.folder_lock import lock_holders, program_of
from ledger.stack.layout import Layout
from tests.services.stack.processes import nothing_left, until

COMPUTES = "select sum(a.i * b.i) from generate_series(1, 100000) a(i), generate_series(1, 100000) b(i)"


@contextmanager
def computing(stack: Stack) -> Iterator[int]:
    """The pid of a backend that does nothing but compute."""
    with psycopg.connect(stack.database, autocommit=True) as busy, psycopg.connect(stack.database, autocommit=True) as other:
        busy.execute("set max_parallel_workers_per_gather = 0")
        pid = busy.info.backend_pid

        def compute() -> None:
            try:
                busy.execute(COMPUTES)
            except psycopg.OperationalError:
                pass  # its server is killed

        thread = threading.Thread(target=compute, daemon=True)
        thread.start()
        question = "select state = 'active' from pg_stat_activity where pid = %s"
        until(lambda: other.execute(question, [pid]).fetchone() == (True,), "the backend computes")
        try:
            yield pid
        finally:
            thread.join(20)
            if still_computes := thread.is_alive():
                os.kill(pid, signal.SIGKILL)
                thread.join()
        assert not still_computes


def of_postgres(stack: Stack) -> list[int]:
    return [pid for pid in lock_holders(Layout(stack.directory)) if program_of(pid) == "postgres"]


def test_postgres_comes_back_after_kill_9_under_a_computing_query(tmp_path: Path, stack: Stack) -> None:
    with Stack.start(tmp_path, supervise=False, kafka=stack.kafka, redis=stack.redis) as own:
        with computing(own) as backend:
            assert backend in of_postgres(own)
            own.kill("postgres")
            assert of_postgres(own) == []
        own.restart("postgres")
        with psycopg.connect(own.database) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_nothing_is_left_when_keeper_and_postmaster_are_killed_under_a_computing_query(tmp_path: Path, stack: Stack) -> None:
    with Stack.start(tmp_path, kafka=stack.kafka, redis=stack.redis) as first, computing(first) as backend:
        os.kill(first.pids["postgres"], signal.SIGKILL)
        os.kill(first.pids["keeper"], signal.SIGKILL)
        with Stack.start(tmp_path, kafka=stack.kafka, redis=stack.redis) as second:  # at once
            assert backend not in of_postgres(second)
    nothing_left(tmp_path, second.pids | {"backend": backend})


def test_a_noted_pid_that_is_somebody_elses_by_now_is_no_postmaster(tmp_path: Path, stack: Stack) -> None:
    """In containers, pids are low and come again; a killed postmaster can also stay a zombie for long."""
    noted = tmp_path / "postgres" / "data" / "postmaster.pid"
    with Stack.start(tmp_path, kafka=stack.kafka, redis=stack.redis):
        first, _, rest = noted.read_text().partition("\n")
        assert first.isdigit()
    account = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    with subprocess.Popen(["sleep", "60"], user=account) as other:
        noted.write_text(f"{other.pid}\n{rest}")
        try:
            Stack.start(tmp_path, kafka=stack.kafka, redis=stack.redis).stop()
        finally:
            other.kill()
