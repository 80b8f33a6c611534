"""`jobledger queues list|pause|resume`."""

import typer

from ledger.cli.output import Form, OutputOption, show_rows
from ledger.cli.pausing import PAUSE_COLUMNS, add_pauses, pauses_of
from ledger.cli.session import session_of, wait_for

app = typer.Typer(help="Where executions wait.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, output: OutputOption = Form.table) -> None:
    """The queues of the settings, and those that are paused."""
    session = session_of(context)
    queues = session.load().queues
    paused = {one["name"]: one for one in wait_for(pauses_of(session, "queue"))}
    names = [*queues, *sorted(str(name) for name in paused if name not in queues)]
    rows = [
        {"name": name, "partitions": queues[name].partitions if name in queues else None, "paused": name in paused, **paused.get(name, {})}
        for name in names
    ]
    show_rows(rows, ("name", "partitions", "paused", *PAUSE_COLUMNS), output)


add_pauses(app, "queue", "a queue")
