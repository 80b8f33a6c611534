"""Waiting for a decision: sent once, answered by the ear; sent again when nothing is heard; never for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaError

from ledger.client.decisions import Decisions
from ledger.client.errors import Undecided
from ledger.client.questions import Decided
from ledger.client.turns import Turns
from ledger.core.ids import ExecutionId
from ledger.core.outcome import Answer
from ledger.core.refusal import Unavailable
from tests.unit.client.client_fakes import FakeEar, FakeSender, FakeTables, World

ACCEPTED = Answer("c1", "accepted", ExecutionId("e1-0"))


@asynccontextmanager
async def asked(decisions: Decisions, *, follow: bool = False, timeout: float = 5) -> AsyncIterator[asyncio.Task[Decided]]:
    task = asyncio.create_task(decisions.ask("c1", "t", 0, b"{}", follow=follow, timeout=timeout))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await decisions.close()


async def test_an_answer_ends_the_wait() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions) as task:
        await world.sender.until_sent(1)
        decisions.hear([Answer("other", "accepted"), ACCEPTED])
        assert (await task).answer == ACCEPTED
    assert world.sender.sent == [("t", 0, b"{}")]


async def test_a_forwarded_command_is_not_decided_yet() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions) as task:
        await world.sender.until_sent(1)
        decisions.hear([Answer("c1", "forwarded"), ACCEPTED])
        assert (await task).answer == ACCEPTED


async def test_what_is_not_heard_is_sent_again_byte_for_byte() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions) as task:
        await world.sender.until_sent(2)
        decisions.hear([ACCEPTED])
        await task
    assert world.sender.sent[0] == world.sender.sent[1]


async def test_while_others_are_answered_nothing_is_sent_again() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions) as task:
        await world.sender.until_sent(1)
        world.ear.last_heard = asyncio.get_running_loop().time() + 100
        done, _ = await asyncio.wait({task}, timeout=1.6)
        assert not done
    assert len(world.sender.sent) == 1


async def test_beyond_the_window_of_repeats_nothing_is_sent_again() -> None:
    world = World(resend_for=0.0)
    decisions = world.decisions()
    async with asked(decisions, timeout=1.6) as task:
        with pytest.raises(Undecided):
            await task
    assert len(world.sender.sent) == 1


async def test_the_tables_are_asked_when_nothing_is_heard() -> None:
    world = World()
    world.tables.decided["c1"] = ACCEPTED
    async with asked(world.decisions()) as task:
        assert (await task).answer == ACCEPTED


async def test_nobody_decides_is_told_with_the_command() -> None:
    world = World()
    async with asked(world.decisions(), timeout=0.3) as task:
        with pytest.raises(Undecided, match=r"jobledger commands show c1"):
            await task


async def test_no_broker_is_told_with_its_address() -> None:
    async with asked(World(FakeSender(away=True)).decisions()) as task:
        with pytest.raises(Unavailable, match="broker:9092"):
            await task


async def test_no_ack_is_told_with_the_address() -> None:
    async with asked(World(FakeSender(acks=False)).decisions()) as task:
        with pytest.raises(Unavailable, match="broker:9092"):
            await task


async def test_after_a_produce_error_the_producer_is_replaced_and_the_command_sent_again() -> None:
    world = World(FakeSender(acks=False))
    decisions = world.decisions()
    async with asked(decisions) as task:
        await world.sender.until_sent(1)
        world.sender.pending[0].set_exception(KafkaError("refused"))
        await world.sender.until_sent(2)
        decisions.hear([ACCEPTED])
        await task
    assert world.sender.replaced == 1


async def test_news_that_stand_in_the_same_message_as_the_answer_are_kept() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions, follow=True) as task:
        await world.sender.until_sent(1)
        started, ended = (Answer(execution_id=ExecutionId("e1-0"), state=state, attempt=1) for state in ("active", "completed"))
        decisions.hear([ACCEPTED, started, ended])
        news = (await task).news
        assert news is not None
        reader = news.reader()
        assert [await reader.next(1), await reader.next(1), await reader.next(0)] == [started, ended, None]


async def test_the_same_key_said_twice_at_once_is_one_command() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions) as first, asked(decisions) as second:
        await world.sender.until_sent(1)
        decisions.hear([ACCEPTED])
        assert await first == await second
    assert len(world.sender.sent) == 1


async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions) as task:
        await world.sender.until_sent(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not decisions.questions.asked


async def test_many_are_asked_in_few_records_and_answered_in_their_order() -> None:
    world = World()
    decisions = world.decisions()
    commands = [(f"c{number}", b'{"n":%d}' % number) for number in range(450)]
    task = asyncio.create_task(decisions.ask_many("t", 0, commands, timeout=5))
    await world.sender.until_sent(3)
    decisions.hear([Answer(name, "applied", job_id=name) for name, _ in reversed(commands)])
    assert [answer.job_id for answer in await task] == [name for name, _ in commands]
    assert [record.count(b"{") for _, _, record in world.sender.sent] == [200, 200, 50]
    await decisions.close()


async def test_of_many_only_the_unanswered_are_sent_again_each_by_itself() -> None:
    world = World()
    decisions = world.decisions()
    task = asyncio.create_task(decisions.ask_many("t", 0, [("c1", b"{}"), ("c2", b'{"n":2}')], timeout=5))
    await world.sender.until_sent(1)
    decisions.hear([Answer("c1", "applied")])
    await world.sender.until_sent(2)
    decisions.hear([Answer("c2", "applied")])
    assert [answer.command_id for answer in await task] == ["c1", "c2"]
    assert [record for _, _, record in world.sender.sent] == [b'[{},{"n":2}]', b'{"n":2}']
    await decisions.close()


async def test_what_two_ask_at_once_among_many_is_one_command_and_both_are_answered() -> None:
    world = World()
    decisions = world.decisions()
    groups = [[("c1", b"{}"), ("c2", b'{"n":2}')], [("c2", b'{"n":2}'), ("c1", b"{}")], [("c3", b'{"n":3}'), ("c3", b'{"n":3}')]]
    tasks = [asyncio.create_task(decisions.ask_many("t", 0, group, timeout=5)) for group in groups]
    await world.sender.until_sent(2)
    alone = asyncio.create_task(decisions.ask("c2", "t", 0, b'{"n":2}', timeout=5))
    await asyncio.sleep(0)
    decisions.hear([Answer(name, "applied") for name in ("c1", "c2", "c3")])
    async with asyncio.timeout(2):
        answered = [[answer.command_id for answer in answers] for answers in await asyncio.gather(*tasks)]
        assert (await alone).answer.command_id == "c2"
    assert answered == [["c1", "c2"], ["c2", "c1"], ["c3", "c3"]]
    assert [record for _, _, record in world.sender.sent] == [b'[{},{"n":2}]', b'[{"n":3}]']
    assert not decisions.questions.asked
    await decisions.close()


async def test_who_asked_first_among_many_may_give_up_and_the_second_goes_on() -> None:
    world = World()
    decisions = world.decisions()
    first, second = (asyncio.create_task(decisions.ask_many("t", 0, [("c1", b"{}")], timeout=5)) for _ in range(2))
    await world.sender.until_sent(1)
    first.cancel()
    await world.sender.until_sent(2)
    decisions.hear([ACCEPTED])
    assert await asyncio.wait_for(second, 2) == [ACCEPTED]
    await decisions.close()


async def test_of_a_burst_so_many_are_under_way_and_the_time_of_the_others_begins_with_their_turn() -> None:
    world = World()
    decisions = world.decisions(Turns(2))
    tasks = [asyncio.create_task(decisions.ask(f"c{number}", "t", 0, b"{}", timeout=0.4)) for number in range(6)]
    for round_ in range(3):
        await world.sender.until_sent(2 * round_ + 2)
        world.ear.last_heard = asyncio.get_running_loop().time()
        await asyncio.sleep(0.3)  # less than each may take, and together more
        assert len(world.sender.sent) == 2 * round_ + 2
        decisions.hear([Answer(f"c{2 * round_ + one}", "applied") for one in (0, 1)])
    assert [decided.answer.command_id for decided in await asyncio.gather(*tasks)] == [f"c{number}" for number in range(6)]
    await decisions.close()


async def test_once_all_turns_are_taken_the_others_go_together_when_half_are_free() -> None:
    world = World()
    decisions = world.decisions(Turns(4))
    tasks = [asyncio.create_task(decisions.ask(f"c{number}", "t", 0, b"{}", timeout=5)) for number in range(6)]
    await world.sender.until_sent(4)
    decisions.hear([Answer("c0", "applied")])
    await tasks[0]
    assert len(world.sender.sent) == 4
    decisions.hear([Answer("c1", "applied")])
    await world.sender.until_sent(6)
    decisions.hear([Answer(f"c{number}", "applied") for number in range(2, 6)])
    assert len(await asyncio.gather(*tasks)) == 6
    await decisions.close()


async def test_who_gives_up_its_turn_lets_the_next_one_go() -> None:
    world = World()
    decisions = world.decisions(Turns(10, most_bytes=5))
    records = {"c1": b"{    }", "c2": b"{   }", "c3": b"{}"}
    big, small, other = (asyncio.create_task(decisions.ask(name, "t", 0, record, timeout=5)) for name, record in records.items())
    await world.sender.until_sent(1)  # it is larger than all that may be under way, and goes alone
    await asyncio.sleep(0)
    small.cancel()
    big.cancel()
    await world.sender.until_sent(2)
    decisions.hear([Answer("c3", "applied")])
    assert (await other).answer.command_id == "c3"
    assert [record for _, _, record in world.sender.sent] == [b"{    }", b"{}"]
    await asyncio.gather(big, small, return_exceptions=True)
    await decisions.close()


async def test_the_same_key_said_twice_before_the_first_was_sent_is_one_command() -> None:
    world = World(ear=FakeEar(is_open=False))
    decisions = world.decisions()
    tasks = [asyncio.create_task(decisions.ask("c1", "t", 0, b"{}", timeout=5)) for _ in range(3)]
    await world.sender.until_sent(1)
    decisions.hear([ACCEPTED])
    assert {decided.answer for decided in await asyncio.gather(*tasks)} == {ACCEPTED}
    assert len(world.sender.sent) == 1
    await decisions.close()


async def test_who_says_a_key_again_while_the_first_hears_its_answer_is_answered_too() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions) as first:
        await world.sender.until_sent(1)
        again = asyncio.create_task(decisions.ask("c1", "t", 0, b"{}", timeout=5))
        decisions.hear([ACCEPTED])  # before either of them gets its turn
        assert (await first).answer == ACCEPTED
        await world.sender.until_sent(2)
        decisions.hear([ACCEPTED])
        assert (await asyncio.wait_for(again, 1)).answer == ACCEPTED


async def test_who_said_a_key_first_may_give_up_and_the_second_goes_on() -> None:
    world = World()
    decisions = world.decisions()
    async with asked(decisions) as first:
        await world.sender.until_sent(1)
        again = asyncio.create_task(decisions.ask("c1", "t", 0, b"{}", timeout=5))
        await asyncio.sleep(0)
        first.cancel()
        await world.sender.until_sent(2)
        decisions.hear([ACCEPTED])
        assert (await asyncio.wait_for(again, 1)).answer == ACCEPTED


async def test_who_says_a_key_again_has_its_own_time_be_it_shorter_or_longer() -> None:
    world = World()
    decisions = world.decisions()
    first = asyncio.create_task(decisions.ask("c1", "t", 0, b"{}", timeout=1.0))
    await world.sender.until_sent(1)
    with pytest.raises(Undecided, match=r"within 0\.2 s"):
        await asyncio.wait_for(decisions.ask("c1", "t", 0, b"{}", timeout=0.2), 0.9)
    patient = asyncio.create_task(decisions.ask("c1", "t", 0, b"{}", timeout=50))
    among_many = asyncio.create_task(decisions.ask_many("t", 0, [("c1", b"{}")], timeout=50))
    with pytest.raises(Undecided, match="within 1 s"):
        await first
    async with asyncio.timeout(5):
        while not (patient.done() and among_many.done()):
            decisions.hear([ACCEPTED])
            await asyncio.sleep(0)
    assert ((await patient).answer, await among_many) == (ACCEPTED, [ACCEPTED])
    await decisions.close()


async def test_a_broker_that_is_away_is_asked_once_a_sweep_and_not_once_for_each() -> None:
    world = World()
    decisions = world.decisions()
    tasks = [asyncio.create_task(decisions.ask(f"c{number}", "t", 0, b"{}", timeout=1.2)) for number in range(30)]
    await world.sender.until_sent(30)
    world.sender.is_away, world.sender.refuses_after = True, 0.2
    async with asyncio.timeout(4):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in ended} == {Undecided}
    await decisions.close()


async def test_who_waits_for_a_decision_or_for_a_turn_when_it_is_closed_is_told() -> None:
    world = World()
    decisions = world.decisions(Turns(2))
    tasks = [asyncio.create_task(decisions.ask(f"c{number}", "t", 0, b"{}", timeout=50)) for number in range(4)]
    many = asyncio.create_task(decisions.ask_many("t", 0, [("c8", b"{}"), ("c9", b"{}")], timeout=50))
    await world.sender.until_sent(3)
    await decisions.close()
    async with asyncio.timeout(1):
        ended = await asyncio.gather(*tasks, many, return_exceptions=True)
    assert {type(one) for one in ended} == {Undecided}
    assert len(world.sender.sent) == 3


async def test_once_it_is_closed_nothing_is_asked() -> None:
    world = World(ear=FakeEar(is_open=False))
    decisions = world.decisions()
    await decisions.close()
    with pytest.raises(Undecided, match=r"closed before .*`jobledger commands show c1`"):
        await decisions.ask("c1", "t", 0, b"{}", timeout=50)
    assert (world.sender.sent, world.ear.is_open) == ([], False)


class BrokenTables(FakeTables):
    async def find(self, command_id: str, tenant: str | None) -> Answer | None:
        raise ZeroDivisionError


async def test_an_error_of_ours_while_nothing_is_heard_ends_the_wait() -> None:
    async with asked(World(tables=BrokenTables()).decisions(), timeout=50) as task:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(task, 5)
