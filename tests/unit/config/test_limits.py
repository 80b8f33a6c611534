"""Limits over all workers, as settings say them."""

from pathlib import Path

import pytest

from ledger.core.backlogs import BacklogLimits
from ledger.core.limits import Limit, Rate, parse_rate
from ledger.core.refusal import Misconfigured, Refused
from ledger.handlers import Jobs
from processors.runner.limits import Table
from tests.unit.config.config_files import load

TEXT = """
queues:
  default:
  mail: {concurrency: 20, rate: 100/s, backlog: 10}
jobs:
  - {name: greet, concurrency: 3, rate: 10/m}
system_jobs:
  - {name: morning, job: greet, every: 1h, concurrency: 2, rate: 1/m}
tenants:
  acme: {concurrency: 5}
  internal:
  '*': {rate: 5/s}
"""


def test_each_queue_job_and_tenant_has_its_own(tmp_path: Path) -> None:
    settings = load(tmp_path, TEXT)
    assert settings.limit_of_queue("mail") == Limit("queue", "mail", 20, Rate(100, 1000))
    assert settings.limit_of_queue("default") is None
    assert (settings.concurrency, settings.rates) == ({"greet": 2}, {"greet": Rate(1, 60_000)}), "of several the least"
    assert settings.limit_of_tenant("acme") == Limit("tenant", "acme", 5)
    assert settings.limit_of_tenant("internal") is None, "named, and without a bound"
    assert settings.limit_of_tenant("zoo") == Limit("tenant", "zoo", None, Rate(5, 1000))


def test_backlogs_are_bounded_where_it_is_said(tmp_path: Path) -> None:
    assert load(tmp_path, TEXT).backlog_limits == BacklogLimits({"mail": 10}, {"acme": None, "internal": None, "*": None})
    assert not load(tmp_path, "prefix: shop").backlog_limits


def test_an_attempt_keeps_within_all_that_concern_it(tmp_path: Path) -> None:
    settings, jobs = load(tmp_path, TEXT), Jobs()
    jobs.job("greet")(lambda: None)
    jobs.job("own", rate="3/s")(lambda: None)
    table = Table(settings, "mail", jobs.bounded(settings.concurrency, settings.rates))
    assert [limit.key for limit in table.of("greet", "acme")] == ["queue:mail", "job:greet", "tenant:acme"]
    assert [limit.key for limit in table.of("own", None)] == ["queue:mail", "job:own"]
    assert [limit.key for limit in table.of("other", "internal")] == ["queue:mail"]
    assert not Table(load(tmp_path, "prefix: shop"), "default", Jobs())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("queues: {mail: {rate: 5}}", "queues.mail.rate"),
        ("queues: {mail: {rate: 0/s}}", "1 to 1000000 starts"),
        ("queues: {mail: {concurrency: 0}}", "concurrency"),
        ("tenants: {acme: {rat: 5/s}}", "tenants.acme.rat: there is no such key"),
        ("jobs: [{name: a, rate: 5/fortnight}]", "'1fortnight'"),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        load(tmp_path, text)


def test_a_rate_in_code_is_checked_where_it_stands() -> None:
    with pytest.raises(Misconfigured, match=r"test_limits.*'100/s'"):
        Jobs().job("a", rate="fast")(lambda: None)
    with pytest.raises(Refused):
        parse_rate("1/2d")
