"""The command line as a user has it."""

import os
import subprocess
import sys
from pathlib import Path

from ledger.config import Settings
from tests import forked


def command(settings: Settings, folder: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The words and the environment of a command with these settings."""
    config = folder / "jobledger.yaml"
    database = settings.database
    config.write_text(
        f"prefix: {settings.prefix}\npartitions: {settings.partitions}\nkafka:\n  bootstrap: {settings.kafka.bootstrap}\n"
        f"database:\n  url: {database.url.get_secret_value()}\n  schema: {database.table_schema}\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBLEDGER_")}
    return [sys.executable, "-m", "ledger.cli", *arguments], {**kept, "JOBLEDGER_CONFIG": str(config)}


def jobledger(settings: Settings, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    _, environment = command(settings, folder, *arguments)
    return forked.run("ledger.cli", *arguments, cwd=Path.cwd(), env=environment, timeout=60)
