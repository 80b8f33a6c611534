"""For every test: what a shell may have taken from us, and in which order they run."""

import signal
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LONGEST_FIRST = ("faults", "services/runner", "services/client", "acceptance", "services", "unit")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job inherits that, and so would what the tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    here = item.path.relative_to(HERE).as_posix()
    return next(place for place, folder in enumerate(LONGEST_FIRST) if here.startswith(folder))
