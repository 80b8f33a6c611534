"""Where commands go: the same partition that control will call their home."""

import pytest

from ledger.client import tables as client_tables
from ledger.client.line import Line
from ledger.client.routes import Route, Routes
from ledger.config import Settings
from ledger.config.settings import Job, SystemJob
from ledger.core.ids import exclusive_key, execution_of_command, partition_for
from ledger.core.refusal import Refused, Unavailable
from ledger.core.request import RunNow
from ledger.core.uniqueness import routing_name
from ledger.handlers import Jobs
from ledger.submitting.submission import Submission, command_of
from ledger.terms import Exclusive

jobs = Jobs()


@jobs.job("by-tenant", exclusive=Exclusive("tenant"))
async def by_tenant() -> None: ...


@jobs.job("by-field", exclusive=Exclusive("key", field="order.account"))
async def by_field() -> None: ...


@jobs.job("plain")
async def plain() -> None: ...


SETTINGS = Settings(
    partitions=16,
    jobs=[Job(name="by-tenant"), Job(name="plain"), Job(name="by-key", exclusive="key")],
    system_jobs=[SystemJob(name="tick", every="5s")],
)


class Tables:
    """Knows one job and counts questions."""

    def __init__(self, *known: Route, away: bool = False) -> None:
        self.known = {route.job_id: route for route in known}
        self.away = away
        self.asked = 0

    async def __call__(self, job_id: str) -> Route | None:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        return self.known.get(job_id)


@pytest.mark.parametrize(
    ("wish", "scope"),
    [(Submission("by-tenant", tenant="t"), "tenant"), (Submission("by-key", exclusive_key="k"), "key"), (Submission("plain"), "none")],
)
async def test_a_submit_goes_where_control_expects_it(wish: Submission, scope: str) -> None:
    routes, command = Routes(SETTINGS, jobs, Tables()), command_of(wish)
    [(partition, execution_id)] = routes.of_submits([command], [await routes.find(wish.job)])
    home = exclusive_key(wish.job, wish.job, wish.tenant, scope, wish.exclusive_key) or command.command_id
    assert partition == partition_for(home, 16)
    assert execution_id == execution_of_command(command.command_id, wish.tenant, "submit", partition)


async def test_the_execution_of_a_keyed_submit_is_not_known_beforehand() -> None:
    routes = Routes(SETTINGS, jobs, Tables())
    command = command_of(Submission("plain", idempotency_key="k"))
    assert routes.of_submits([command], [await routes.find("plain")])[0][1] is None


async def test_a_unique_submit_goes_by_its_unique_key_and_its_execution_is_not_known_beforehand() -> None:
    routes = Routes(SETTINGS, jobs, Tables())
    one, other = (command_of(Submission("plain", {"order": 7, "at": at}, unique="order")) for at in (1, 2))
    assert one.unique is not None and other.unique == one.unique
    placed = routes.of_submits([one, other], [await routes.find("plain")] * 2)
    assert placed == [(partition_for(routing_name(None, "plain", one.unique.key), 16), None)] * 2


async def test_the_value_of_an_exclusivity_key_may_be_in_the_data() -> None:
    routes = Routes(SETTINGS, jobs, Tables())
    wishes = [Submission("by-field", {"order": {"account": 7}}), Submission("by-field", {}, exclusive_key="7")]
    placed = routes.of_submits([command_of(wish) for wish in wishes], [await routes.find("by-field")] * 2)
    assert {partition for partition, _ in placed} == {partition_for("key:by-field:7", 16)}
    with pytest.raises(Refused, match=r"order\.account"):
        routes.of_submits([command_of(Submission("by-field", {"order": 1}))], [await routes.find("by-field")])


async def test_who_does_not_know_whether_a_key_is_in_the_data_does_not_name_the_execution() -> None:
    routes = Routes(SETTINGS, None, Tables())
    [(_, unknown), (_, given)] = routes.of_submits(
        [command_of(Submission("by-key", {"a": 1})), command_of(Submission("by-key", exclusive_key="k"))], [await routes.find("by-key")] * 2
    )
    assert unknown is None and given is not None


async def test_a_run_now_goes_to_the_home_of_the_job() -> None:
    routes = Routes(SETTINGS, jobs, Tables())
    partition, _ = routes.of_run_now(RunNow("c", "tick"), await routes.find("tick"))
    assert partition == partition_for("job:tick", 16)


async def test_what_handlers_and_settings_say_needs_no_tables() -> None:
    tables = Tables()
    routes = Routes(SETTINGS, jobs, tables)
    assert [(await routes.find(name)).scope for name in ("by-tenant", "plain", "by-key", "tick")] == ["tenant", "none", "key", "job"]
    assert tables.asked == 0


async def test_without_handlers_the_tables_are_asked_once() -> None:
    tables = Tables(Route("by-tenant", "by-tenant", "tenant"))
    routes = Routes(SETTINGS, None, tables)
    assert routes.guess("by-tenant") == Route("by-tenant", "by-tenant", is_guess=True)
    assert [(await routes.find("by-tenant")).scope for _ in range(3)] == ["tenant"] * 3
    assert tables.asked == 1


async def test_what_nobody_knows_goes_by_the_command() -> None:
    routes = Routes(SETTINGS, None, Tables(away=True))
    assert await routes.find("stranger") == Route("stranger", "stranger", is_guess=True)


@pytest.mark.parametrize("wish", [Submission("plain", tenant="\udcfc"), Submission("by-key", exclusive_key="\udcfc")])
async def test_a_submit_with_half_a_surrogate_pair_in_it_is_refused_before_it_is_asked_where_it_goes(wish: Submission) -> None:
    line = Line(SETTINGS, None, 1.0, client_tables.Tables(SETTINGS))
    with pytest.raises(Refused, match="half a surrogate pair"):
        await line.submit(command_of(wish), 1.0)
