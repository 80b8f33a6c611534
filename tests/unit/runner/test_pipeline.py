"""A runner with its world in memory: what it takes on, what it gives back, and that nothing gets lost on the way."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs

from ledger.config.settings import Limits
from ledger.core.refusal import Misconfigured
from processors.runner.take import take
from processors.seam import Record
from tests.unit.runner.runner_fakes import World, attempt_of, offer, record_of, said


async def ran(world: World, *numbers: int) -> None:
    """Until these executions have been reported as ended."""
    wanted = {offer(nth).execution_id for nth in numbers}
    await world.sender.until(lambda: wanted <= {report.execution_id for report in world.sender.ends})


async def test_an_offer_is_claimed_performed_and_reported(world: World) -> None:
    done: list[object] = []
    world.jobs.job("sync")(done.append)
    world.begin().take(record_of(offer(2, data={"n": 1})))
    await ran(world, 2)
    assert done == [{"n": 1}]
    assert world.claims.batches == [[f"jobledger:claim:{offer(2).execution_id}:{offer(2).token}"]]
    (report,) = world.sender.ends
    assert (report.outcome, report.worker, report.token, report.timeout_ms) == ("completed", "worker-1", 514, 900_000)


async def test_offers_that_arrived_together_are_claimed_in_one_round_trip(world: World) -> None:
    async def nothing() -> None: ...

    world.jobs.job("sync")(nothing)
    runner = world.begin()
    runner.take(record_of(offer(0), offer(2)))
    runner.take(record_of(offer(1), offer(3)))
    await ran(world, 0, 1, 2, 3)
    assert [len(batch) for batch in world.claims.batches] == [4]


async def test_a_grant_that_another_worker_performs_is_left_to_it(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    world.claims.others.add(f"jobledger:claim:{offer(0).execution_id}:{offer(0).token}")
    world.begin().take(record_of(offer(0), offer(2)))
    await ran(world, 2)
    assert {report.execution_id for report in world.sender.reports} == {offer(2).execution_id}


async def test_an_offer_that_comes_again_is_performed_once(world: World) -> None:
    runs: list[int] = []
    go = asyncio.Event()

    async def slow(data: int) -> None:
        runs.append(data)
        await go.wait()

    world.jobs.job("sync")(slow)
    runner = world.begin()
    runner.take(record_of(offer(2, data=7), offer(2, data=7)))
    await world.sender.until(lambda: bool(world.sender.reports))
    runner.take(record_of(offer(2, data=7)))  # while it runs
    go.set()
    await ran(world, 2)
    runner.take(record_of(offer(2, data=7), offer(4, data=8)))  # after it ended
    await ran(world, 4)
    assert runs == [7, 8]


async def test_a_re_offer_of_what_waits_here_makes_its_claim_one_of_a_re_offer(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    world.liveness.held = False
    runner = world.begin()
    runner.take(record_of(offer(0), offer(2)))
    runner.take(record_of(structs.replace(offer(2), again=2)))
    runner.take(record_of(structs.replace(offer(2), again=1)))
    world.liveness.held = True
    runner.wake()
    await ran(world, 0, 2)
    assert world.claims.again == [[0, 2]]


async def test_first_offers_are_claimed_without_a_word_about_it(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    world.begin().take(record_of(offer(0), offer(2)))
    await ran(world, 0, 2)
    assert world.claims.again == [[]]


async def test_what_this_worker_has_no_handler_for_is_given_back(world: World) -> None:
    world.jobs.job("sync", version=2)(lambda: None)
    world.begin().take(record_of(offer(0, "other"), offer(2, version=3), offer(4, version=2)))
    await ran(world, 4)
    assert world.sender.returned == {"no_handler": [offer(0).execution_id], "newer_version": [offer(2).execution_id]}


async def test_a_version_that_was_numbered_by_its_content_is_for_any_handler(world: World) -> None:
    world.jobs.job("sync", version=3, minimal_supported_version=2)(lambda: None)
    edited = [structs.replace(offer(nth, version=version), by_content=True) for nth, version in ((0, 1), (2, 9))]
    world.begin().take(record_of(*edited))
    await ran(world, 0, 2)
    assert {report.outcome for report in world.sender.ends} == {"completed"}


async def test_a_version_that_is_too_old_is_skipped_without_a_start_by_the_one_who_claimed_it(world: World) -> None:
    runs: list[object] = []
    world.limits = Limits(slots=1)
    world.jobs.job("sync", version=3, minimal_supported_version=2)(runs.append)
    world.claims.others.add(f"jobledger:claim:{offer(4).execution_id}:{offer(4).token}")
    world.begin().take(record_of(offer(0, version=1), offer(2, version=2, data="fits"), offer(4, version=1)))
    await ran(world, 0, 2)
    skipped, completed = sorted(world.sender.ends, key=lambda report: report.execution_id)
    assert (skipped.outcome, skipped.skip_reason, skipped.run_ms, skipped.error_type) == ("skipped", "version_too_old", 0, None)
    assert skipped.error_message == "version 1 of sync; sync supports 2 to 3"
    assert completed.outcome == "completed" and runs == ["fits"]
    assert [report.outcome for report in world.sender.reports if report.execution_id == offer(0).execution_id] == ["skipped"]
    assert {report.execution_id for report in world.sender.reports} == {offer(0).execution_id, offer(2).execution_id}


async def test_data_that_does_not_fit_fails_for_good_with_its_place(world: World) -> None:
    async def typed(data: dict[str, int]) -> None: ...

    world.jobs.job("sync")(typed)
    world.begin().take(record_of(offer(0, data={"a": "secret"})))
    await ran(world, 0)
    (report,) = world.sender.ends
    assert (report.error_type, report.retry_after_ms) == ("invalid_data", None)
    assert (report.error_message or "").startswith("/a: ")
    assert "secret" not in (report.error_message or "")


async def test_what_finds_no_slot_in_time_is_given_back(world: World) -> None:
    go = asyncio.Event()
    world.limits = Limits(slots=1)
    world.jobs.job("sync")(lambda: None)

    @world.jobs.job("slow")
    async def slow() -> None:
        await go.wait()

    world.begin().take(record_of(offer(0, "slow"), offer(2), offer(4)))
    both = {offer(2).execution_id, offer(4).execution_id}
    await world.sender.until(lambda: set(world.sender.returned.get("no_slot", [])) == both)
    go.set()
    await ran(world, 0)


async def test_what_finds_no_thread_is_not_begun_and_is_given_back_while_coroutines_go_on(world: World) -> None:
    go, begun = threading.Event(), []
    world.threads, world.most_threads = ThreadPoolExecutor(2), 2
    world.jobs.job("slow")(lambda: go.wait())

    @world.jobs.job("plain", timeout="100ms")
    def plain(data: int) -> None:
        begun.append(data)

    @world.jobs.job("sync")
    async def sync() -> None: ...

    runner = world.begin()
    runner.take(record_of(offer(0, "slow"), offer(2, "slow"), offer(4, "plain", data=4), offer(6)))
    await ran(world, 6)
    await world.sender.until(lambda: world.sender.returned == {"no_slot": [offer(4).execution_id]})
    assert (said(world, 4), begun, runner.running) == ([], [], 2)
    go.set()
    await ran(world, 0)
    runner.take(record_of(offer(8, "plain", data=8)))
    await ran(world, 8)
    assert (begun, world.stuck.is_set()) == ([8], False)


async def test_while_redis_is_away_nothing_starts_nothing_is_lost_and_what_runs_goes_on(world: World) -> None:
    go = asyncio.Event()

    @world.jobs.job("slow")
    async def slow() -> None:
        await go.wait()

    world.jobs.job("sync")(lambda: None)
    runner = world.begin()
    runner.take(record_of(offer(0, "slow")))
    await world.sender.until(lambda: bool(world.sender.reports))
    world.claims.away = True
    world.claims.asked.clear()
    runner.take(record_of(offer(2)))
    await world.claims.asked.wait()
    go.set()
    await ran(world, 0)
    assert world.sender.returned == {}
    world.claims.away = False
    await ran(world, 2)


async def test_claims_whose_answer_got_lost_are_still_this_workers(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    world.claims.forgets_to_answer = 1
    world.begin().take(record_of(offer(0), offer(2)))
    await ran(world, 0, 2)
    assert len(world.claims.batches) == 2


async def test_a_claim_that_was_this_workers_before_it_asked_is_not_performed_again(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    world.claims.mine.add(f"jobledger:claim:{offer(0).execution_id}:{offer(0).token}")
    world.begin().take(record_of(offer(0), offer(2)))
    await ran(world, 2)
    assert {report.execution_id for report in world.sender.reports} == {offer(2).execution_id}


async def test_an_offer_older_than_a_claims_life_by_the_brokers_time_is_dropped(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    now_ms = time.time_ns() // 1_000_000
    runner = world.begin()  # the lease is 1 s, so a claim lives for 3
    runner.take(record_of(offer(0), appended_ms=now_ms - 3500))
    runner.take(record_of(offer(2), appended_ms=now_ms - 2500))
    await ran(world, 2)
    assert {report.execution_id for report in world.sender.reports} == {offer(2).execution_id}


async def test_without_a_sign_of_life_nothing_is_claimed(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    world.liveness.held = False
    runner = world.begin()
    runner.take(record_of(offer(0)))
    await world.sender.until(lambda: bool(world.sender.records))  # the question for the time
    assert world.claims.batches == []
    world.liveness.held = True
    runner.wake()
    await ran(world, 0)


async def test_it_learns_the_brokers_time_before_it_claims(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    world.sender.hold()
    runner = world.begin()
    runner.take(record_of(offer(0)))
    await world.sender.until(lambda: bool(world.sender.records))
    assert world.claims.batches == []
    world.sender.release()
    await ran(world, 0)


def test_a_record_that_cannot_be_read_is_passed_over() -> None:
    for value in (None, b"", b"{", b"[]", b'{"partition":0,"offers":[{"execution_id":1}]}'):
        assert take(Record("work", 0, 0, 0, value), "claim:", 0.0) == []


async def test_code_for_a_process_of_its_own_is_refused_at_start(world: World) -> None:
    world.jobs.job("cpu", run_in="process")(lambda: None)
    with pytest.raises(Misconfigured, match=r"cpu .*run_in='process'"):
        world.begin()


# Draining


async def test_a_draining_runner_gives_back_what_waits_and_what_comes(world: World) -> None:
    go, world.limits = asyncio.Event(), Limits(slots=1, shutdown_grace=5)

    @world.jobs.job("slow")
    async def slow() -> None:
        await go.wait()

    runner = world.begin()
    runner.take(record_of(offer(0, "slow"), offer(2, "slow")))
    await world.sender.until(lambda: bool(world.sender.reports))
    draining = asyncio.create_task(runner.drain())
    await world.sender.until(lambda: "draining" in world.sender.returned)
    runner.take(record_of(offer(4, "slow")))
    go.set()
    assert await draining
    assert world.sender.returned["draining"] == [offer(2).execution_id, offer(4).execution_id]
    assert [report.outcome for report in world.sender.ends] == ["completed"]


async def test_an_offer_that_comes_back_to_a_draining_runner_is_kept_until_it_is_gone(world: World) -> None:
    go, world.limits = asyncio.Event(), Limits(slots=1, shutdown_grace=5)

    @world.jobs.job("slow")
    async def slow() -> None:
        await go.wait()

    runner = world.begin()
    runner.take(record_of(offer(0, "slow")))
    await world.sender.until(lambda: bool(world.sender.reports))
    draining = asyncio.create_task(runner.drain())
    await asyncio.sleep(0)
    for _ in range(100):
        runner.take(record_of(offer(2, "slow")))
    go.set()
    assert await draining
    assert world.sender.returned["draining"] == [offer(2).execution_id] * 2


async def test_what_does_not_end_within_the_grace_is_cancelled_and_handed_back(world: World) -> None:
    cleaned_up: list[str] = []

    @world.jobs.job("slow")
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append("yes")

    runner = world.begin()
    runner.take(record_of(offer(0, "slow")))
    await world.sender.until(lambda: bool(world.sender.reports))
    assert await runner.drain()
    assert cleaned_up == ["yes"]
    assert [report.outcome for report in world.sender.ends] == ["handed_back"]


async def test_draining_while_redis_is_away_gives_back_what_was_about_to_be_claimed(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    world.claims.away = True
    runner = world.begin()
    runner.take(record_of(offer(0)))
    await world.claims.asked.wait()
    assert await runner.drain()
    assert world.sender.returned == {"draining": [offer(0).execution_id]}


def test_an_attempt_keeps_the_place_its_reports_go_to() -> None:
    assert (attempt_of(offer(3)).partition, attempt_of(offer(4)).partition) == (1, 0)
