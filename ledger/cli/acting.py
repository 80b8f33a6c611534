"""An act from the command line: it waits for its decision, prints what became of it, and says so where nothing had to be done."""

from collections.abc import Awaitable, Callable

from ledger.cli.output import Form, row_of, show_one, talk
from ledger.cli.session import Session
from ledger.client.acted import Acted
from ledger.client.bulk_frame import BulkDone
from ledger.client.ledger import Ledger
from ledger.core.refusal import Refused

SHOWN = ("outcome", "job_id", "command_id")


async def act(session: Session, form: Form, ask: Callable[[Ledger], Awaitable[Acted]], *, unchanged: str = "it was so already") -> None:
    async with session.ledger() as ledger:
        done = await ask(ledger)
    show(done, form, unchanged)


def show(done: Acted, form: Form, unchanged: str) -> None:
    show_one({name: value for name, value in row_of(done).items() if name not in ("reason", "detail")}, form, SHOWN)
    if done.outcome == "unchanged":
        talk(f"nothing had to be done: {unchanged}")
    elif done.outcome == "stale":
        talk("nothing was done: a newer version is in force")


def row_of_many(done: BulkDone) -> dict[str, object]:
    """Without the filter, which the one who reads it has just said."""
    return {name: value for name, value in row_of(done).items() if name != "where"}


def check_done(done: BulkDone) -> None:
    """Raises `Refused` if some of many were."""
    if done.refused:
        first = next(iter(done.reasons), "rejected")
        raise Refused(first, f"{done.refused} of {done.planned} were refused; each has its reason in `command_outcomes`")
