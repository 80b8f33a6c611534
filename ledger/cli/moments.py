"""Moments of the past, as people write them: `--as-of`, `--from` and `--to`."""

from datetime import datetime
from typing import Annotated

import typer

from ledger.cli.inputs import instant_of
from ledger.core.moment import name_of

AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TIME|EVENT",
        help="As it stood then, by the log: an instant (UTC if it has no offset), or an event: 3-120-2.",
    ),
]


def moment_in(text: str, option: str) -> datetime | str:
    """The name of an event as it is; an instant read."""
    if name_of(text) is not None:
        return text
    moment = instant_of(text, option)
    assert moment is not None
    return moment
