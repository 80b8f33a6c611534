"""The composition root: the one place that puts the parts together. The command line calls it; nothing else imports it."""

import asyncio
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog

from ledger.client.applying import ApplyReport, apply_configuration
from ledger.client.declared import declared
from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.core.refusal import LedgerError, Misconfigured, Unavailable
from ledger.handlers import Jobs, load_jobs
from ledger.spread import spread
from processors.probe import probe
from processors.servers import look_at
from processors.supervisor import SETTLE, Supervisor, environment, parts

log = structlog.get_logger(__name__)
APPLY_TIMEOUT: Final = 60.0  # control may just be starting
LONGEST_PAUSE: Final = 10.0

Only = Literal["control", "runner"]


def settings_from_environment(config: Path | None = None) -> Settings:
    return load_settings(config, os.environ)


def handlers_of(settings: Settings, app: str | None = None) -> Jobs:
    """The handlers that the settings, or `app`, name; modules are found from the present folder."""
    target = app or settings.app
    if target is None:
        raise Misconfigured("no handlers are named: set `app: module:attribute` in the settings, or give --app")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return load_jobs(target)


@dataclass(frozen=True, slots=True)
class Worker:
    """What `jobledger worker` is asked for."""

    config: Path | None = None
    app: str | None = None
    queues: tuple[str, ...] = ()
    only: Only | None = None
    apply: bool = True
    probe_port: int | None = None  # 0: any free one
    log_level: str = "INFO"  # of its processes


async def run_worker(settings: Settings, wanted: Worker) -> int:
    """Control and runners under supervision, until SIGTERM or SIGINT; the configuration is applied as soon as control decides.
    A configuration that contradicts what is stored ends the worker. Returns the exit code."""
    jobs = handlers_of(settings, wanted.app) if wanted.apply or wanted.only != "control" else None
    if jobs is not None:
        declared(settings, jobs)  # a mismatch is told before anything is started
    supervisor = Supervisor(
        parts(queues=list(wanted.queues) or list(settings.queues), only=wanted.only, log_level=wanted.log_level),
        environment(wanted.config, wanted.app),
        grace=settings.limits.shutdown_grace + SETTLE,
    )
    async with probe(supervisor, wanted.probe_port, look_at(settings)) if wanted.probe_port is not None else nullcontext():
        return await _supervised(settings, supervisor, jobs if wanted.apply else None)


async def _supervised(settings: Settings, supervisor: Supervisor, jobs: Jobs | None) -> int:
    """`jobs`: what is to be applied."""
    running = asyncio.create_task(supervisor.run())
    applying = asyncio.create_task(_apply_patiently(settings, jobs) if jobs is not None else _nothing())
    await asyncio.wait({running, applying}, return_when=asyncio.FIRST_COMPLETED)
    if applying.done() and applying.exception() is not None:
        supervisor.stop()
        await running
        applying.result()
    code = await running
    applying.cancel()
    await asyncio.gather(applying, return_exceptions=True)
    return code


async def _nothing() -> None:
    pass


async def _apply_patiently(settings: Settings, jobs: Jobs) -> ApplyReport:
    """Servers that are away, and a control that does not decide yet, are waited for."""
    pause = 0.5
    while True:
        try:
            report = await apply_configuration(settings, jobs, timeout=APPLY_TIMEOUT)
        except Unavailable as error:
            log.warning("the configuration is not applied yet", action="apply.retry", error=str(error), retry_in=pause)
            await asyncio.sleep(spread(pause))
            pause = min(LONGEST_PAUSE, pause * 2)
            continue
        except LedgerError as error:
            log.error("the configuration is refused; the worker ends", action="apply.refused", error=str(error))
            raise
        for change in report.changes:
            if change.verdict == "stale":
                log.warning("this configuration is older than what is stored", action="apply.stale", job=change.job_id)
        log.info("the configuration is applied", action="apply.done", manifest=report.manifest, jobs=len(report.changes))
        return report
