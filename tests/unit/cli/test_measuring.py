"""What the benches of schedules reckon with, without servers: which schedules, what the processes' words and the tables' rows say."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import cast

import msgspec
import pytest
import yaml
from pydantic import SecretStr

from ledger.cli.bench import _measure
from ledger.cli.measuring import bed as bed_module
from ledger.cli.measuring import idle, tenants
from ledger.cli.measuring.bed import Bed, bed_settings
from ledger.cli.measuring.result import Result, result
from ledger.cli.measuring.schedules import Window
from ledger.cli.output import Form
from ledger.config import Settings
from ledger.config.settings import Database, Kafka
from ledger.core.refusal import Misconfigured, Unavailable
from ledger.kafka import opening, topics
from ledger.schedule import Schedule
from projections import schema
from tests.unit.cli.conftest import Call

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def said(action: str, after: float, **more: object) -> str:
    return json.dumps({"action": action, "timestamp": (NOON + timedelta(seconds=after)).isoformat(), **more})


WORDS = [
    "[^-App]: Starting...",
    said("control.begun", 1.5),
    said("registry.restored", 2.0, seconds=0.5),
    said("control.assigned", 6.0, count=3),
    said("actor.ready", 6.5, seconds=0.25),
    said("control.assigned", 6.6, count=3),
    said("actor.ready", 7.0, seconds=0.75),
]


ORPHAN = """
import os, signal
from pathlib import Path
from ledger.cli.measuring.bed import Bed
from ledger.config import Settings
print(Bed(Settings(), Path(), print).spawn("timeit", "-n", "1", "import time; time.sleep(60)").pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_benchmark_logs_in_with_the_password_as_it_is(tmp_path: Path) -> None:
    theirs = Settings.model_validate({"redis": {"url": "redis://:a${b}$${c@127.0.0.1:1"}})
    assert bed_settings(theirs, "bench", tmp_path, {}).redis.url == theirs.redis.url


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has no death signal")
def test_what_a_benchmark_started_ends_with_it_however_that_ends(tmp_path: Path) -> None:
    bench = subprocess.run([sys.executable, "-c", ORPHAN], cwd=tmp_path, capture_output=True, check=False, timeout=30)
    deadline = time.monotonic() + 10
    while runs(int(bench.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_its_processes_have_the_settings_of_the_bed_whatever_the_environment_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBLEDGER_PREFIX", "production")
    made = Bed(Settings(), tmp_path, print)
    shown = "import os; print(sorted(name for name in os.environ if name.startswith('JOBLEDGER_')), os.environ['TMPDIR'])"
    made.spawn("timeit", "-n1", "-r1", shown).wait(30)
    assert made.words(made.processes[0]).startswith(f"['JOBLEDGER_APP', 'JOBLEDGER_CONFIG'] {tmp_path}\n")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done on them, of which a signal disturbs the last."""
    done: list[str] = []

    async def nothing(settings: Settings) -> None: ...

    async def remove(settings: Settings) -> None:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.01)  # the event loop takes up the signal
        done.append("removed")

    monkeypatch.setattr(topics, "plan", nothing)
    monkeypatch.setattr(topics, "apply", nothing)
    monkeypatch.setattr(opening, "open_log", nothing)
    monkeypatch.setattr(schema, "upgrade", lambda settings: done.append("upgraded"))
    monkeypatch.setattr(bed_module, "_remove", remove)
    return done


async def bed_only() -> Result:
    async with bed_module.bed(Settings(), print, work=False):
        return RESULT


def test_a_signal_at_the_end_of_a_benchmark_does_not_keep_it_from_removing_what_it_made(servers: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        _measure(bed_only(), Form.json)
    assert servers == ["upgraded", "removed"]


def test_what_a_benchmark_makes_in_a_thread_is_made_before_it_is_removed(servers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade(settings: Settings) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.monotonic() + 0.2
        while not servers and time.monotonic() < until:
            time.sleep(0.01)
        servers.append("upgraded")

    monkeypatch.setattr(schema, "upgrade", upgrade)
    with pytest.raises(KeyboardInterrupt):
        _measure(bed_only(), Form.json)
    assert servers == ["upgraded", "removed"]


@pytest.fixture
def away(unused_tcp_port: int) -> Settings:
    nowhere = f"127.0.0.1:{unused_tcp_port}"
    return Settings(kafka=Kafka(bootstrap=nowhere), database=Database(url=SecretStr(f"postgresql://u@{nowhere}/x")))


async def test_a_broker_that_is_away_is_told_before_anything_is_made(away: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[Settings] = []
    monkeypatch.setattr(bed_module, "_remove", removed.append)
    with pytest.raises(Unavailable, match=f"no Kafka broker answers at {away.kafka.bootstrap}"):
        async with bed_module.bed(away, print):
            pass
    assert removed == []


async def test_where_postgres_is_away_at_the_end_it_is_told_as_elsewhere(away: Settings) -> None:
    with pytest.raises(Unavailable, match=f"Postgres does not answer at {away.kafka.bootstrap}"):
        await bed_module._remove(away)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_keep_a_benchmark_from_removing_what_it_made(number: signal.Signals) -> None:
    done: list[str] = []

    async def work() -> Result:
        try:
            signal.raise_signal(number)
            await asyncio.Event().wait()
        finally:
            signal.raise_signal(number)
            await asyncio.sleep(0.01)  # the event loop takes up the signal
            done.append("removed")
        return RESULT

    with pytest.raises(KeyboardInterrupt):
        _measure(work(), Form.json)
    assert done == ["removed"]


def runs(pid: int) -> bool:
    """And is not only left to be waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# What is printed

RESULT = result("latency", (1.0, 3.0, 2.0), "ms", "the executions", {"p99": 3.5})


async def measured() -> list[Result]:
    return [RESULT, RESULT]


async def one_measured() -> Result:
    return RESULT


@pytest.mark.parametrize(
    ("output", "read"),
    [
        (Form.json, json.loads),
        (Form.jsonl, lambda text: [json.loads(line) for line in text.splitlines()]),
        (Form.yaml, yaml.safe_load),
    ],
)
def test_figures_come_in_every_form(capsys: pytest.CaptureFixture[str], output: Form, read: Callable[[str], object]) -> None:
    _measure(measured(), output)
    assert read(capsys.readouterr().out) == [json.loads(msgspec.json.encode(RESULT))] * 2


def test_a_single_measurement_is_no_list(capsys: pytest.CaptureFixture[str]) -> None:
    _measure(one_measured(), Form.json)
    assert msgspec.json.decode(capsys.readouterr().out, type=Result) == RESULT


def test_a_form_that_there_is_not_is_refused_before_anything_is_measured(call: Call) -> None:
    assert call("bench", "latency", "-o", "xml").code == 2


# Idle schedules


def test_a_control_is_ready_with_its_last_actor_and_the_broker_s_wait_is_told_apart() -> None:
    back = idle.readiness("\n".join(WORDS), 2, NOON.timestamp())
    assert back is not None
    assert (back.begun, back.assigned, back.ready, back.slowest) == pytest.approx((1.5, 6.0, 7.0, 0.75))
    assert back.waited == pytest.approx(4.5)


@pytest.mark.parametrize("missing", [1, 3, 6])
def test_it_is_not_ready_before_everything_was_said(missing: int) -> None:
    words = [line for nth, line in enumerate(WORDS) if nth != missing and (missing != 3 or "assigned" not in line)]
    assert idle.readiness("\n".join(words), 2, NOON.timestamp()) is None


def test_a_line_that_is_half_written_waits_for_its_other_half() -> None:
    words = "\n".join(WORDS)
    assert idle.readiness(words[:-10], 2, NOON.timestamp()) is None
    assert idle.readiness(words + '\n{"action": "actor.re', 2, NOON.timestamp()) is not None


def test_what_was_assigned_before_it_was_asked_for_was_not_waited_for() -> None:
    words = [WORDS[3], said("control.begun", 6.2), *WORDS[4:]]
    back = idle.readiness("\n".join(words), 2, NOON.timestamp())
    assert back is not None and back.waited == 0.0


@pytest.mark.parametrize("month", range(1, 13))
def test_a_yearly_schedule_is_far_from_due(month: int) -> None:
    today = NOON.replace(month=month)
    for number in (0, 59, 1439, 40_319, 99_999):
        following = Schedule(cron=cast(str, idle.yearly(number, today)["cron"])).next(today)
        assert following is not None and timedelta(days=140) < following - today < timedelta(days=215)


def test_so_many_yearly_schedules_are_of_five_hundred_tenants_and_seldom_alike() -> None:
    plans = [idle.yearly(number, NOON) for number in range(2000)]
    assert Counter(Counter(cast(str, plan["tenant"]) for plan in plans).values()) == {4: 500}
    assert len({(plan["tenant"], plan["name"]) for plan in plans}) == len({plan["cron"] for plan in plans}) == 2000


def test_resident_memory_is_read_in_megabytes() -> None:
    assert idle.resident_mb("Name:\tpython\nVmRSS:\t  250000 kB\nThreads:\t4\n") == pytest.approx(256.0)
    with pytest.raises(Misconfigured, match="VmRSS"):
        idle.resident_mb("Name:\tpython\n")


def test_the_results_are_what_the_schedules_add() -> None:
    def state(memory: float, late: float, ready: float, fired: int = 100) -> idle.State:
        back = idle.Readiness(1.0, 2.0, ready, 0.5) if ready else None
        return idle.State(memory, Window(100, fired, [late] * 100, []), back)

    found = idle.results([state(80, 2, 3), state(200, 4, 0, 99), state(210, 5, 4), state(215, 6, 8)], "so", 9.96)
    memory, ready, lateness = found
    assert (memory.median, memory.more["restarted"], memory.more["control_without"]) == (120, 130, 80)
    assert (ready.median, ready.more["killed_ready"], ready.more["killed_waited_for_the_broker"]) == (4, 8, 1)
    assert (lateness.median, lateness.more["p50_without"], lateness.more["p99_killed"]) == (4, 2, 6)
    assert (lateness.more["missed"], lateness.more["scheduled_in_s"]) == (1, 10.0)


# Tenants


def test_the_schedules_of_a_tenant_are_spread_over_the_period() -> None:
    plans = tenants.plans_of(users=100, tenants=10, every=60)
    offsets = [offset for offset, plan in plans if plan["tenant"] == "t3"]
    assert len(offsets) == 10 and {later - earlier for earlier, later in pairwise(offsets)} == {timedelta(seconds=6)}
    assert len({(plan["tenant"], plan["name"]) for _, plan in plans}) == 100


def test_ticks_are_expected_after_the_one_instant_and_up_to_the_other() -> None:
    own = [Schedule(every="60s", offset=timedelta(seconds=offset)) for offset in (0, 10)]
    assert tenants.expected_between(own, 600, 720) == 4
    assert tenants.expected_between(own, 599.9, 720) == 5
    assert tenants.expected_between([], 600, 720) == 0


def test_a_range_of_ticks_counts_as_far_as_it_is_in_the_window() -> None:
    rows = [tenants.Row(540, 4, "skipped(paused)"), tenants.Row(610, 2, "fired"), tenants.Row(900, 1, "fired")]
    assert tenants.outcomes_between(rows, 60, 600, 720) == {"skipped(paused)": 2, "fired": 2}


def test_the_slowest_partition_says_when_a_pause_is_in_force() -> None:
    pauses = [tenants.Paused(0.02, [0.03, 0.05], 0.04, 20, 0), tenants.Paused(0.01, [0.3, 0.1], 0.0, 19, 1)]
    registered, in_force, last = tenants._results(pauses, 3.5, 70.0, "so many")
    assert (registered.median, registered.more["each_has_fired"]) == (3.5, 70.0)
    assert in_force.runs == pytest.approx([50, 300]) and in_force.more == {"answered": 20.0, "ticks_held": 39.0, "ticks_not_held": 1.0}
    assert last.runs == pytest.approx([40, 0])
