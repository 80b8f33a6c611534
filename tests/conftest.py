"""For every test: what a shell may have taken from us, in which order they run, and that none leaves its set-up of logs to the next."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from processors.logs import NOISY

HERE = Path(__file__).parent
LONGEST_FIRST = ("faults", "services/runner", "services/client", "acceptance", "services", "unit")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job inherits that, and so would what the tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that is run in this process sets up logs for good, to a stderr that is closed when its test ends."""
    loggers = [logging.getLogger(), *map(logging.getLogger, NOISY)]
    before, handlers, levels = structlog.get_config(), loggers[0].handlers[:], [logger.level for logger in loggers]
    yield
    structlog.configure(**before)
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    here = item.path.relative_to(HERE).as_posix()
    return next(place for place, folder in enumerate(LONGEST_FIRST) if here.startswith(folder))
