"""What a measurement says, and of which machine and versions."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median

from msgspec import Struct

PACKAGES = ("jobledger", "faust-streaming", "aiokafka", "msgspec", "psycopg", "redis")


class Machine(Struct, frozen=True):
    python: str
    system: str
    cpus: int
    versions: dict[str, str]


class Result(Struct, frozen=True):
    """`median` of `runs`, in `unit`; `counted` says what was counted and how. `more` holds further figures of the same runs."""

    metric: str
    median: float
    runs: tuple[float, ...]
    unit: str
    counted: str
    machine: Machine
    more: dict[str, float] = {}


def machine() -> Machine:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(platform.python_version(), f"{platform.system()} {platform.machine()}", cpus, {name: version(name) for name in PACKAGES})


def result(metric: str, runs: Sequence[float], unit: str, counted: str, more: dict[str, float] | None = None) -> Result:
    rounded = tuple(round(run, 3) for run in runs)
    return Result(metric, round(median(runs), 3), rounded, unit, counted, machine(), more or {})


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
