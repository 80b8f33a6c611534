"""Where a control process begins."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from ledger.config.loading import load_settings
from processors import logs, seam
from processors.control.process import Control
from processors.pulse import to_supervisor
from processors.watchdog import Watchdog

CONFIG = "JOBLEDGER_CONFIG"


def control_from_environment() -> Control:
    """A control process with the settings that file and environment give."""
    config = os.environ.get(CONFIG)
    return Control(load_settings(Path(config) if config else None, os.environ))


def app_from_environment() -> seam.App:
    return watched(control_from_environment()).app


def watched(control: Control) -> Control:
    """Put a watchdog beside it."""
    watchdog = Watchdog(
        crashed=lambda: seam.has_crashed(control.app),
        ready=lambda: control.is_ready,
        stuck_since=lambda: control.stuck_since,
        stopped=lambda: control.stopped,
        tell=to_supervisor(os.environ),
    )
    control.app.task(watchdog.beat)
    control.app.on_worker_init.connect(lambda *_, **__: watchdog.start(), weak=False)
    return control


def main(arguments: list[str]) -> None:
    """`python -m processors.control`."""
    parser = argparse.ArgumentParser(prog="python -m processors.control", description="Decides, until SIGTERM.")
    parser.add_argument("--log-level", default="INFO", type=str.upper, choices=logs.LEVELS)
    logs.configure("console" if sys.stderr.isatty() else "json", parser.parse_args(arguments).log_level)
    asyncio.set_event_loop(asyncio.new_event_loop())
    seam.run_worker(watched(control_from_environment()).app)
