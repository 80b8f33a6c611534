"""Real servers for every test below this folder: one stack a run; topics, a schema and names in Redis of its own for each test.

Servers that `JOBLEDGER_KAFKA__BOOTSTRAP`, `JOBLEDGER_REDIS__URL` and `JOBLEDGER_DATABASE__URL` name are used instead of the stack's.
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from ledger.config import Settings
from ledger.config.settings import Database, Kafka, Limits, Redis
from ledger.core.refusal import Unavailable
from ledger.kafka.connect import admin_client
from ledger.kafka.opening import LogIdentity, open_log
from ledger.kafka.topics import apply
from ledger.stack import Stack

HERE = Path(__file__).parent
T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.services)


def run(work: Coroutine[object, object, T]) -> T:
    """In a loop of its own, whatever loop the test has: fixtures that are not async serve every test."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The servers. A test that kills one starts it again: the others use it too."""
    environment = os.environ
    with Stack.start(
        tmp_path_factory.mktemp("stack"),
        fast=True,
        supervise=False,
        kafka=environment.get("JOBLEDGER_KAFKA__BOOTSTRAP"),
        redis=environment.get("JOBLEDGER_REDIS__URL"),
        database=environment.get("JOBLEDGER_DATABASE__URL"),
    ) as servers:
        yield servers


Fresh = Callable[[int], AbstractContextManager[Settings]]


@pytest.fixture(scope="session")
def fresh(stack: Stack) -> Fresh:
    """Makes settings of so many partitions, for fixtures that live longer than a test."""
    return lambda partitions: _fresh(stack, partitions)


@pytest.fixture
def settings(stack: Stack) -> Iterator[Settings]:
    """Names that nobody else uses, and limits that let a test see a lease end. What was made under them is removed afterwards."""
    with _fresh(stack, 4) as settings:
        yield settings


@contextmanager
def _fresh(stack: Stack, partitions: int) -> Iterator[Settings]:
    name = f"t{secrets.token_hex(5)}"
    settings = Settings(
        prefix=name,
        partitions=partitions,
        kafka=Kafka(bootstrap=stack.kafka, session_timeout=4.0),
        redis=Redis(url=SecretStr(stack.redis)),
        database=Database.model_validate({"url": stack.database, "schema": name}),
        limits=Limits(lease=2.0, shutdown_grace=2.0, cancel_grace=1.0),
    )
    try:
        yield settings
    finally:
        run(_remove_topics(settings))
        _remove_schema(settings)


@pytest.fixture
def opened(settings: Settings) -> LogIdentity:
    """The topics are there and the log is open."""
    return run(apply_and_open(settings))


async def apply_and_open(settings: Settings) -> LogIdentity:
    await apply(settings)
    return await open_log(settings)


async def _remove_topics(settings: Settings) -> None:
    """A broker that keeps the topics of every test becomes slow."""
    try:
        async with admin_client(settings.kafka.bootstrap) as admin:
            there = set(await admin.list_topics())
            await admin.delete_topics([name for name in there if name.startswith(settings.prefix)])
    except Unavailable:
        pass  # the test is about a broker that is away


def _remove_schema(settings: Settings) -> None:
    schema = sql.Identifier(settings.database.table_schema)
    try:
        with psycopg.connect(settings.database.url.get_secret_value(), connect_timeout=5) as connection:
            connection.execute(sql.SQL("drop schema if exists {} cascade").format(schema))
    except psycopg.OperationalError:
        pass  # the test is about a database that is away
