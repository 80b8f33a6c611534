"""What `docs/migrating-from-softkit.md` says is so: its YAML loads, its Python is Python, and what it names is there."""

import ast
import re
from pathlib import Path

import pytest

from ledger.client.ledger import Ledger
from ledger.config import Settings
from ledger.config.schema import settings_schema
from ledger.config.yaml_text import read_yaml
from ledger.context import Context
from ledger.handlers import Jobs
from ledger.submitting.submission import options_of
from tests.unit.config.config_files import load
from tests.unit.config.schema_checker import faults

PAGE = Path("docs/migrating-from-softkit.md").read_text()
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

THEIRS = [
    "prefix",
    "jobs",
    "systemJobs",
    "jobVersion",
    "jobData",
    "repeat.pattern",
    "repeat.every",
    "repeat.tz",
    "repeat.limit",
    "repeat.startDate",
    "repeat.endDate",
    "repeat.immediately",
    "repeat.count",
    "defaultJobOptions",
    "backoff.type",
    "removeOnComplete",
    "removeOnFail",
    "keepLogs",
    "stackTraceLimit",
    "sizeLimit",
    "lifo",
    "failParentOnFailure",
    "removeDependencyOnFailure",
    "redisConfig",
    "commonConfig",
    "redisLockConfig",
    "applicationStartupLock",
    "systemJobLockTimeoutMillis",
    "blockingConnection",
    "skipVersionCheck",
    "JobProcessor",
    "BaseJobProcessor",
    "VersionedJobData",
    "minimalSupportedVersion",
    "singleRunningJobGlobally",
    "lockDuration",
    "trackJobProgress",
    "AbstractJobDefinitionService",
    "AbstractJobVersionService",
    "AbstractJobExecutionService",
    "AbstractSchedulingJobService",
    "scheduleSystemJob",
    "scheduleJob",
    "runRepeatableJobNow",
    "findJobVersionByJobDefinitionIdAndVersion",
    "findLatestJobVersion",
    "findPreviousJobVersion",
    "JobDefinition",
    "JobVersion",
    "JobExecution",
    "jobStatus",
    "bullToken",
    "stepData",
    "JobsModule.forRoot",
]


@pytest.mark.parametrize("number", range(len(YAML)))
def test_its_yaml_loads(tmp_path: Path, number: int) -> None:
    assert load(tmp_path, YAML[number]).prefix == "shop"


def test_the_two_layouts_mean_the_same_version(tmp_path: Path) -> None:
    theirs, ours = load(tmp_path, YAML[1]), load(tmp_path, YAML[2])
    [one], [other] = theirs.system_jobs, ours.system_jobs
    assert (one.spec, options_of(one.options), one.version) == (other.spec, options_of(other.options), other.version)
    assert (theirs.kafka, theirs.database, theirs.app) == (ours.kafka, ours.database, ours.app)


def test_its_python_declares_the_jobs() -> None:
    names: dict[str, object] = {}
    exec(compile(ast.parse(PYTHON[0]), "page", "exec"), names)
    jobs = names["jobs"]
    assert isinstance(jobs, Jobs)
    assert [handler.name for handler in jobs] == ["clean-carts", "export-orders"]


@pytest.mark.parametrize("name", THEIRS)
def test_every_name_of_theirs_is_mapped(name: str) -> None:
    assert name in PAGE


def test_what_it_names_on_the_ledger_is_there() -> None:
    ledger = Ledger(Settings())
    for path in set(re.findall(r"`ledger\.([a-z_.]+)\(", PAGE)):
        found: object = ledger
        for part in path.split("."):
            found = getattr(found, part)
        assert callable(found)
    for name in set(re.findall(r"`ctx\.([a-z_]+)`", PAGE)):
        assert hasattr(Context, name)


def test_the_page_of_settings_loads_too(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", Path("docs/settings.md").read_text(), re.DOTALL)
    settings = load(tmp_path, text)
    assert [job.name for job in settings.system_jobs] == ["clean-carts", "heartbeat", "launch"]
    assert settings.system_jobs[1].options.timeout == "10m"
    (tmp_path / "page.yaml").write_text(text)
    assert faults(read_yaml(tmp_path / "page.yaml").values, settings_schema(), settings_schema()) == []
