"""Control: one actor a partition decides commands and appends to the log. `faust -A processors.control worker --without-web` runs it.

The modules by duty; a test keeps this list complete:

the process          entry, process, edges, facts, rescue
an actor             actor, partition_actor, registry_actor, pacing, appender, seeking, log_access, snapshots, dead_letters
time                 timers, hearing, schedules, plans
offers               dispatch, windows, held, limited, unfit, offering, sending, hints, work
who waits, who runs  answers, orders, relay
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processors.seam import App


def __getattr__(name: str) -> "App":
    """`app`, made when Faust asks for it: settings come from the environment (JOBLEDGER_CONFIG names a file)."""
    if name != "app":
        raise AttributeError(name)
    from processors.control.entry import app_from_environment

    return app_from_environment()
