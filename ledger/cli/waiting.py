"""`--wait`: live progress on stderr, the result on stdout."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

import typer

from ledger.cli.errors import OUT_OF_TIME
from ledger.cli.output import Form, is_plain, plain, show_value, talk
from ledger.client.errors import Undecided
from ledger.client.handle import ExecutionHandle, Update, outcome_of

LINE_EVERY: Final = 5.0  # seconds between two lines of progress where stderr is no terminal
BAR: Final = 24
DECISION: Final = 10.0  # seconds until somebody at a terminal is told that nobody decides


class Display:
    """One line that changes on a terminal; elsewhere a line at each change of state, and now and then one of progress."""

    def __init__(self, execution_id: str) -> None:
        self._execution_id = execution_id
        self._plain = is_plain(sys.stderr.isatty())
        self._state = ""
        self._told_at = float("-inf")

    def show(self, update: Update) -> None:
        if not self._plain:
            sys.stderr.write(f"\r\x1b[K{self._text(update)}" + ("\n" if update.is_terminal else ""))
            sys.stderr.flush()
            return
        now = time.monotonic()
        if update.state != self._state or now - self._told_at >= LINE_EVERY:
            self._state, self._told_at = update.state, now
            talk(self._text(update))

    def end(self) -> None:
        """Leave the line that changes."""
        if not self._plain:
            sys.stderr.write("\n")

    def _text(self, update: Update) -> str:
        parts = [self._execution_id, update.state]
        if update.attempt is not None and update.attempt > 1:
            parts.append(f"attempt {update.attempt}")
        if update.progress is not None and not update.is_terminal:
            done = update.progress * BAR // 100
            parts.append(f"{update.progress:3d} %" if self._plain else f"[{'#' * done}{'.' * (BAR - done)}] {update.progress:3d} %")
        if update.note and not update.is_terminal:
            parts.append(plain(update.note))
        return "  ".join(parts)


async def decided(ask: Callable[[float], Awaitable[ExecutionHandle]], seconds: float | None) -> ExecutionHandle:
    """What was asked for. `ask` takes the seconds that its decision may take. Where these are all that there are, the wait has run out
    with them: what was sent goes on, and is decided once somebody does."""
    bound = DECISION if seconds is None else min(DECISION, seconds)
    try:
        return await ask(bound)
    except Undecided as error:
        if bound != seconds:
            raise
        talk(str(error))
        raise typer.Exit(OUT_OF_TIME) from None


async def wait_for_end(handle: ExecutionHandle, form: Form, seconds: float | None, since: float) -> None:
    """Print the result; any other end is raised. The execution goes on if we do not wait any longer. `since`: by the loop's clock."""
    display = Display(handle.execution_id)
    try:
        async with asyncio.timeout_at(None if seconds is None else since + seconds):
            async with aclosing(handle.progress()) as updates:
                async for update in updates:
                    display.show(update)
            row = await handle.ended()
    except TimeoutError:
        display.end()
        talk(f"{handle.execution_id} did not end within {seconds:g} s and goes on: `jobledger executions show {handle.execution_id}`")
        raise typer.Exit(OUT_OF_TIME) from None
    except asyncio.CancelledError:
        display.end()
        talk(f"{handle.execution_id} goes on: `jobledger executions show {handle.execution_id}`")
        raise
    show_value(outcome_of(row), form)
