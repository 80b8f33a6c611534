"""A runner process under Faust for the tests; its settings are given as JSON in the environment."""

import os

from ledger.config import Settings
from processors import logs, seam
from processors.crash import crash
from processors.runner.children import Command
from processors.runner.process import RunnerProcess
from tests.services.runner.probe_jobs import jobs

if __name__ == "__main__":
    logs.configure("json", "INFO")
    settings = Settings.model_validate_json(os.environ["RUNNER_SETTINGS"])
    process = RunnerProcess(settings, "default", jobs, crash, Command("tests.services.runner.probe_jobs:jobs"))
    seam.run_worker(
        seam.build_app("runner-default", settings, {process.topic: process.take}, background=process.run, on_stopping=process.stop)
    )
