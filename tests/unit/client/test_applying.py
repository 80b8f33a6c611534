"""What is declared against what is stored: added, changed, retired, unchanged, stale, drift. And settings against handlers."""

from dataclasses import replace

import pytest

from ledger.client.applying import Plan, plan
from ledger.client.declared import Declared, declared
from ledger.config import Settings
from ledger.core import definition, registering
from ledger.core.definition import Registry
from ledger.core.ids import Micros
from ledger.core.refusal import Conflict, Misconfigured
from ledger.handlers import Jobs
from ledger.terms import Exclusive


def jobs_of(*names: str, **options: object) -> Jobs:
    jobs = Jobs()
    for name in names:

        @jobs.job(name, version=9)
        async def handler() -> None: ...

    return jobs


def wanted(*system_jobs: dict[str, object], jobs: tuple[str, ...] = ()) -> list[Declared]:
    settings = Settings.model_validate({"system_jobs": list(system_jobs), "jobs": [{"name": name} for name in jobs]})
    return declared(settings, jobs_of(*jobs, *(str(one["name"]) for one in system_jobs)))


class Stored:
    """A registry, made by the commands that `apply` sends."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._seq = 0

    def apply(self, declared_: list[Declared], *, rollback: bool = False) -> Plan:
        found = plan(declared_, self.registry, rollback=rollback)
        for one in declared_:
            self._decide(
                definition.Register(
                    f"c{self._seq}",
                    one.job_id,
                    one.job_name,
                    one.kind,
                    one.queue,
                    one.job_version,
                    one.content_hash,
                    one.exclusive_scope,
                    data=one.data,
                    options=one.options,
                    schedule=one.schedule,
                )
            )
        if found.manifest == "applied":
            manifest = tuple(sorted((one.job_id, one.job_version, one.content_hash) for one in declared_ if one.kind == "system"))
            self._decide(definition.ApplyManifest(f"c{self._seq}", found.digest, manifest, rollback))
        return found

    def _decide(self, command: definition.Command) -> None:
        self._seq += 1
        for event in registering.decide(command, self.registry):
            definition.evolve(self.registry, event, Micros(self._seq))


def verdicts(found: Plan) -> dict[str, str]:
    return {one.job_id: one.verdict for one in found.changes}


TICK: dict[str, object] = {"name": "tick", "every": "5s"}


def test_new_jobs_are_added() -> None:
    found = plan(wanted(TICK, jobs=("a",)), Registry())
    assert verdicts(found) == {"a": "added", "tick": "added"}
    assert (found.manifest, found.changes_something) == ("applied", True)


def test_a_second_apply_changes_nothing() -> None:
    stored = Stored()
    stored.apply(wanted(TICK, jobs=("a",)))
    found = plan(wanted(TICK, jobs=("a",)), stored.registry)
    assert verdicts(found) == {"a": "unchanged", "tick": "unchanged"}
    assert (found.manifest, found.changes_something) == ("unchanged", False)


def test_without_any_system_job_there_is_no_manifest() -> None:
    assert plan(wanted(jobs=("a",)), Registry()).manifest == "unchanged"


def test_a_new_version_is_a_change_and_says_what_differs() -> None:
    stored = Stored()
    stored.apply(wanted(TICK))
    found = plan(wanted({**TICK, "version": 2, "every": "10s"}), stored.registry)
    [change] = found.changes
    assert (change.verdict, change.details) == ("changed", ("schedule.every_ms: 5000 -> 10000",))
    assert found.manifest == "applied"


def test_another_content_under_the_same_version_is_drift() -> None:
    stored = Stored()
    stored.apply(wanted(TICK))
    found = plan(wanted({**TICK, "every": "10s"}), stored.registry)
    assert verdicts(found) == {"tick": "drift"}
    with pytest.raises(Conflict, match=r"(?s)tick version 1 .* new content version 2.*schedule.every_ms: 5000 -> 10000"):
        found.refuse()


def test_a_system_job_that_is_gone_is_retired_and_may_come_back() -> None:
    stored = Stored()
    other: dict[str, object] = {"name": "other", "every": "7s"}
    stored.apply(wanted(TICK, other))
    found = stored.apply(wanted(other))
    assert verdicts(found) == {"other": "unchanged", "tick": "retired"}
    back = stored.apply(wanted({**TICK, "version": 2}, other))
    assert verdicts(back)["tick"] == "changed"
    assert [job.job_id for job in stored.registry.scheduled] == ["tick", "other"]


def test_a_job_that_somebody_retired_stays_so_and_says_how_it_comes_back() -> None:
    stored = Stored()
    stored.apply(wanted(jobs=("a",)))
    stored._decide(definition.Retire("r", "a"))
    (change,) = stored.apply(wanted(jobs=("a",))).changes
    assert (change.verdict, change.details) == ("unchanged", ("it was retired and takes no submits: version 10 brings it back",))


def test_an_older_node_changes_nothing() -> None:
    stored = Stored()
    stored.apply(wanted(TICK))
    stored.apply(wanted({**TICK, "version": 2, "every": "10s"}))
    found = plan(wanted(TICK), stored.registry)
    assert (verdicts(found), found.manifest, found.changes_something) == ({"tick": "stale"}, "stale", False)


def test_going_back_on_purpose() -> None:
    stored = Stored()
    stored.apply(wanted(TICK))
    stored.apply(wanted({**TICK, "version": 2, "every": "10s"}))
    assert plan(wanted(TICK), stored.registry, rollback=True).manifest == "applied"


@pytest.mark.parametrize("others", [({"name": "new", "every": "7s"}, {"name": "other", "every": "7s"}), ()])
def test_an_older_node_whose_set_of_jobs_nobody_has_seen_changes_nothing_unless_it_is_meant(others: tuple[dict[str, object], ...]) -> None:
    """One job more or less makes another manifest; the version that was replaced stays replaced."""
    stored = Stored()
    stored.apply(wanted(TICK, {"name": "other", "every": "7s"}))
    stored.apply(wanted({**TICK, "version": 2, "every": "10s"}, {"name": "other", "every": "7s"}))
    found = plan(wanted(TICK, *others), stored.registry)
    assert (found.manifest, found.changes_something) == ("stale", False)
    tick = next(one for one in found.changes if one.job_id == "tick")
    assert (tick.verdict, tick.details) == ("stale", ("version 2 was in force last: this node is older",))
    assert verdicts(found).get("new", "stale") == "stale"
    back = plan(wanted(TICK, *others), stored.registry, rollback=True)
    assert (back.manifest, verdicts(back)["tick"]) == ("applied", "changed")


def test_what_was_gone_back_to_is_in_force_and_may_be_added_to() -> None:
    stored = Stored()
    stored.apply(wanted(TICK))
    stored.apply(wanted({**TICK, "version": 2, "every": "10s"}))
    stored.apply(wanted(TICK), rollback=True)
    found = stored.apply(wanted(TICK, {"name": "other", "every": "7s"}))
    assert (verdicts(found), found.manifest) == ({"other": "added", "tick": "unchanged"}, "applied")


def test_a_version_below_all_that_is_stored_is_stale() -> None:
    stored = Stored()
    stored.apply(wanted({**TICK, "version": 3}))
    found = plan(wanted({**TICK, "version": 2}), stored.registry)
    assert (verdicts(found), found.manifest) == ({"tick": "stale"}, "stale")
    found.refuse()


def test_another_exclusivity_is_refused() -> None:
    stored = Stored()
    stored.apply(wanted(jobs=("a",)))
    settings = Settings.model_validate({"jobs": [{"name": "a", "exclusive": "tenant"}]})
    with pytest.raises(Conflict, match="exclusive_scope"):
        plan(declared(settings, jobs_of("a")), stored.registry).refuse()


def test_numbers_by_content() -> None:
    stored = Stored()
    auto: dict[str, object] = {**TICK, "version": "auto"}
    assert stored.apply(wanted(auto)).changes[0].job_version == 1
    assert stored.apply(wanted(auto)).changes_something is False
    found = stored.apply(wanted({**auto, "every": "10s"}))
    [change] = found.changes
    assert (change.verdict, change.job_version, change.details) == ("changed", 2, ("schedule.every_ms: 5000 -> 10000",))
    assert stored.registry.jobs["tick"].current_version == 2


def of_handler(settings: dict[str, object], version: int, minimal: int = 1) -> list[Declared]:
    jobs = Jobs()

    @jobs.job("tick", version=version, minimal_supported_version=minimal)
    async def handler() -> None: ...

    return declared(Settings.model_validate({"system_jobs": [settings]}), jobs)


def test_a_number_by_content_that_the_handler_takes_no_more_is_refused_though_nothing_changed() -> None:
    """Its executions would be skipped as too old; a number by hand is refused for it, too."""
    auto: dict[str, object] = {**TICK, "version": "auto"}
    stored = Stored()
    stored.apply(of_handler(auto, 1))
    with pytest.raises(Conflict, match=r"(?s)tick is refused.*the number 1, but .* understands 2 to 2: say `version: 2` instead of auto"):
        plan(of_handler(auto, 2, 2), stored.registry).refuse()
    assert verdicts(stored.apply(of_handler({**TICK, "version": 2}, 2, 2))) == {"tick": "changed"}
    assert verdicts(plan(of_handler(auto, 2, 2), stored.registry)) == {"tick": "unchanged"}


def test_a_number_by_content_that_older_code_does_not_know_yet_is_no_refusal_where_nothing_changed() -> None:
    """Older code beside a newer file, in a rolling deploy: it hands back what is too new."""
    auto: dict[str, object] = {**TICK, "version": "auto"}
    stored = Stored()
    stored.apply(of_handler(auto, 1))
    stored.apply(of_handler({**auto, "every": "10s"}, 2))
    assert verdicts(plan(of_handler({**auto, "every": "10s"}, 1), stored.registry)) == {"tick": "unchanged"}


def test_an_older_node_that_numbers_by_content_changes_nothing_unless_it_is_meant() -> None:
    stored = Stored()
    auto: dict[str, object] = {**TICK, "version": "auto"}
    stored.apply(wanted(auto))
    stored.apply(wanted({**auto, "every": "10s"}))
    found = plan(wanted(auto), stored.registry)
    assert (verdicts(found), found.manifest, found.changes_something) == ({"tick": "stale"}, "stale", False)
    back = plan(wanted(auto), stored.registry, rollback=True)
    assert (back.changes[0].verdict, back.changes[0].job_version, back.changes[0].is_new) == ("changed", 1, False)


def test_of_a_node_with_an_older_job_no_system_job_is_added() -> None:
    stored = Stored()
    stored.apply(wanted({**TICK, "version": 3}))
    found = plan(wanted({**TICK, "version": 2}, {"name": "other", "every": "7s"}), stored.registry)
    assert (verdicts(found), found.changes_something) == ({"tick": "stale", "other": "stale"}, False)


@pytest.mark.parametrize(
    ("settings", "handlers", "words"),
    [
        ({"jobs": [{"name": "sned"}]}, ("send",), ["`jobs` names 'sned'", "did you mean 'send'?", "the handler 'send'", "in neither"]),
        ({"system_jobs": [{"name": "a", "every": "5s", "job": "b"}]}, ("c",), ["the system job 'a' is run by 'b'"]),
        ({"jobs": [{"name": "a", "version": 10}]}, ("a",), ["job 'a' has version 10", "understands 1 to 9"]),
        ({"jobs": [{"name": "a", "queue": "mial"}], "queues": {"mail": {}}}, ("a",), ["queue 'mial'", "did you mean 'mail'?"]),
        ({}, ("a",), ["the handler 'a'", "configured=False"]),
    ],
)
def test_settings_and_handlers_have_to_fit(settings: dict[str, object], handlers: tuple[str, ...], words: list[str]) -> None:
    with pytest.raises(Misconfigured) as error:
        declared(Settings.model_validate(settings), jobs_of(*handlers))
    for word in words:
        assert word in str(error.value)


def test_a_handler_may_do_without_the_settings() -> None:
    jobs = Jobs()

    @jobs.job("a", configured=False, exclusive=Exclusive("tenant"))
    async def handler() -> None: ...

    [one] = declared(Settings(), jobs)
    assert (one.job_id, one.kind, one.exclusive_scope) == ("a", "on_demand", "tenant")


def test_more_system_jobs_than_a_manifest_takes_are_refused_before_anything_is_registered() -> None:
    (one,) = wanted({"name": "tidy", "every": "1h"})
    many = [replace(one, job_id=f"job-{number}") for number in range(4000)]
    with pytest.raises(Misconfigured, match=r"4000 system jobs do not fit into a manifest: .* about 30\d\d such jobs; let an application"):
        plan(many, Registry())
    assert plan(many[:2500], Registry()).manifest == "applied"
