"""`jobledger queues list|pause|resume`."""

import typer

from ledger.cli.output import Form, OutputOption, row_of, show_rows
from ledger.cli.pausing import LOAD_COLUMNS, add_pauses, loads_of
from ledger.cli.session import session_of, wait_for
from projections.rows import Load

app = typer.Typer(help="Where executions wait.", no_args_is_help=True)
MOST = 200  # queues: they are few, each has workers of its own


@app.command("list")
def list_(context: typer.Context, output: OutputOption = Form.table) -> None:
    """The queues of the settings, and others with executions that wait or run or that are paused."""
    session = session_of(context)
    queues = session.load().queues
    page = wait_for(loads_of(session, "queue", None, MOST))
    known = {one.name: one for one in page.items}
    names = [*queues, *(name for name in known if name not in queues)]
    rows = [{**row_of(known.get(name) or Load(name)), "partitions": queues[name].partitions if name in queues else None} for name in names]
    show_rows(rows, ("name", "partitions", *LOAD_COLUMNS[1:]), output)


add_pauses(app, "queue", "a queue")
