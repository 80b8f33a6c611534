"""What a command works with: the settings, and a ledger for the time of a block. Tests hand in another way to open one."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import typer

from ledger.cli.output import talk
from ledger.client.ledger import Ledger
from ledger.client.who import who
from ledger.config import Settings
from ledger.config.loading import load_settings
from processors import logs

PATIENCE: Final = 4.0  # seconds until a broker counts as away: somebody looks on

T = TypeVar("T")
OpenLedger = Callable[[Settings, str | None], AbstractAsyncContextManager[Ledger]]


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


LogLevelOption = Annotated[LogLevel, typer.Option(case_sensitive=False, help="What is logged: this, and what is worse.")]


def settings_from_environment() -> Settings:
    return load_settings(None, os.environ, warn=lambda warning: talk(f"warning: {warning}"))


def quiet_settings() -> Settings:
    """The same, for a command that opens no ledger and speaks for itself."""
    be_quiet()
    return settings_from_environment()


@asynccontextmanager
async def open_ledger(settings: Settings, actor: str | None = None) -> AsyncIterator[Ledger]:
    async with Ledger.connect(settings, actor=actor, patience=PATIENCE) as ledger:
        yield ledger


@dataclass(frozen=True, slots=True)
class Session:
    """Given as the object of the context; made anew where there is none."""

    load: Callable[[], Settings] = settings_from_environment
    open: OpenLedger = open_ledger

    def ledger(self) -> AbstractAsyncContextManager[Ledger]:
        be_quiet()
        return self.open(self.load(), who())


def session_of(context: typer.Context) -> Session:
    return context.obj if isinstance(context.obj, Session) else Session()


def be_quiet() -> None:
    """What libraries log on their way to an error is said by the error itself, and better."""
    logs.configure("console", "ERROR")
    for name in ("aiokafka", "psycopg.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def wait_for(work: Coroutine[object, object, T]) -> T:
    """Run it to its end."""
    return asyncio.run(work)
