"""Settings and handlers, compared both ways: what fits is declared as one job, what does not is told with both sides."""

from pathlib import Path

import pytest

from ledger.client.applying import plan
from ledger.client.declared import Declared, declared
from ledger.config import Settings
from ledger.core.definition import Registry
from ledger.core.options import Options
from ledger.core.refusal import Conflict, Misconfigured
from ledger.handlers import Jobs
from ledger.terms import Exclusive
from tests.unit.config.config_files import load
from tests.unit.config.test_jobs import EVERYTHING


def handlers(*names: str, version: int = 9, minimal: int = 1, exclusive: Exclusive | None = None) -> Jobs:
    jobs = Jobs()
    for name in names:

        @jobs.job(name, version=version, minimal_supported_version=minimal, exclusive=exclusive)
        async def handler() -> None: ...

    return jobs


def the_only(jobs: Jobs, /, **settings: object) -> Declared:
    [one] = declared(Settings.model_validate(settings), jobs)
    return one


def told(jobs: Jobs, /, **settings: object) -> str:
    with pytest.raises(Misconfigured) as error:
        declared(Settings.model_validate(settings), jobs)
    return str(error.value)


def test_a_mismatch_names_both_sides() -> None:
    said = told(handlers("send", "clean"), jobs=[{"name": "sned"}], system_jobs=[{"name": "claen", "every": "5s"}])
    assert "`jobs` names 'sned', but no handler is called so; did you mean 'send'?" in said
    assert "the system job 'claen' is run by 'claen', but no handler is called so; did you mean 'clean'?" in said
    assert f"the handler 'send' at {__file__}" in said
    assert "is in neither `jobs` nor `system_jobs`: name it there, or declare it with configured=False" in said


def test_all_that_a_system_job_says_is_declared(tmp_path: Path) -> None:
    settings = load(tmp_path, EVERYTHING)
    one = the_only(handlers("make-report"), system_jobs=settings.model_dump()["system_jobs"])
    assert (one.job_id, one.job_name, one.job_version, one.exclusive_scope, one.immediately) == ("report", "make-report", 0, "none", True)
    assert one.schedule == settings.system_jobs[0].spec
    assert one.options == Options(600_000, 3_600_000, 5, "fixed", 1000, 60_000, "skip", 2)


def test_a_system_job_runs_one_at_a_time_unless_it_says_otherwise() -> None:
    assert the_only(handlers("a"), system_jobs=[{"name": "a", "every": "5s"}]).exclusive_scope == "job"


def test_what_happens_when_busy_is_said_by_the_settings_else_by_the_handler() -> None:
    jobs = handlers("a", exclusive=Exclusive("tenant", busy="keep_last"))
    assert the_only(jobs, jobs=[{"name": "a"}]).options == Options(busy="keep_last")
    assert the_only(jobs, jobs=[{"name": "a", "options": {"busy": "wait"}}]).options == Options(busy="wait")
    assert the_only(handlers("a", exclusive=Exclusive("tenant")), jobs=[{"name": "a"}]).options is None


def test_immediately_is_no_content() -> None:
    first, second = (the_only(handlers("a"), system_jobs=[{"name": "a", "every": "5s", "immediately": one}]) for one in (True, False))
    assert first.content_hash == second.content_hash


def test_a_version_outside_of_what_the_handler_understands() -> None:
    said = told(handlers("a", version=3, minimal=2), system_jobs=[{"name": "a", "every": "5s"}])
    assert "system job 'a' has version 1, but the handler at" in said
    assert "understands 2 to 3" in said


def test_a_number_by_content_that_the_handler_does_not_understand_is_refused() -> None:
    one = the_only(handlers("a", version=3, minimal=2), system_jobs=[{"name": "a", "every": "5s", "version": "auto"}])
    with pytest.raises(Conflict, match=r"gives this content the number 1, but the handler at .* understands 2 to 3: say `version: 2`"):
        plan([one], Registry()).refuse()


def test_a_queue_that_is_not_there() -> None:
    said = told(handlers("a"), jobs=[{"name": "a", "queue": "mial"}], queues={"mail": {}, "default": {}})
    assert "waits in the queue 'mial', which `queues` does not have; did you mean 'mail'?" in said
