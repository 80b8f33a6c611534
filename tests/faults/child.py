"""One process of a cluster: `python -m tests.faults.child PARENT MODULE [ARGUMENT...]`. It dies with the test run, however that ends."""

import asyncio
import ctypes
import os
import runpy
import signal
import sys

from ledger.cli import main as cli
from processors import logs, seam
from processors.control.entry import control_from_environment, watched
from processors.control.process import Control


class OtherGroup(Control):
    """A control process outside the group of the others: nobody tells it, or them, that a partition has two owners."""

    def __init__(self, beside: Control) -> None:
        super().__init__(beside.settings)
        self.app = seam.build_app(
            "control-other",
            beside.settings,
            {self.commands: self.take, self.registry_commands: self.take},
            positions=self,
            background=self.look_after,
            on_stopping=self.stop,
        )


def main(parent: int, module: str, arguments: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if module == "other-control":
        logs.configure("console")
        asyncio.set_event_loop(asyncio.new_event_loop())
        seam.run_worker(watched(OtherGroup(control_from_environment())).app)
        return
    if module == "jobledger":
        sys.exit(cli.run(arguments))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
