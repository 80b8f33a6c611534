"""The relay: an exclusive execution ends, and its worker goes on with the next in line. In the log, and in what its worker is told."""

from collections.abc import Callable

import pytest
from msgspec import Raw

from ledger.core import execution, request, wire
from ledger.core.definition import Register
from ledger.core.draft import Delivered
from ledger.core.execution import Active, AttemptLost, Buffered, Completed, Due, HandedBack, Report, Started, Waiting
from ledger.core.ids import NOWHERE, Address, ExecutionId, Micros, Position, Token, WorkerId, token_of
from ledger.core.instants import LATEST
from ledger.core.offers import Offer
from ledger.core.options import Options
from ledger.core.orders import Order
from ledger.core.pause import Pause
from ledger.core.relay import MOST_BYTES
from ledger.core.wire import MOST_EVENTS
from processors.control.relay import AGAIN, MOST_TOGETHER, SOON, Relay
from tests.unit.control.home import SECOND, WORKER, Home, fired

KEY = "key:sync:acme"


def world() -> Home:
    """`sync` runs one at a time per key."""
    home = Home()
    home.ask(Register(home.name(), "sync", "sync", "on_demand", "default", 1, "h", exclusive_scope="key"))
    return home


def asked(home: Home, count: int = 1, **more: object) -> list[ExecutionId]:
    submits = [request.Submit(home.name(), "sync", **{"exclusive_key": "acme", **more}) for _ in range(count)]  # type: ignore[arg-type]  # by name
    return [one for submit in submits for one in fired(home.send(submit))]


def end(home: Home, execution_id: ExecutionId, **more: object) -> list[object]:
    """Its worker says that it has ended and that it would go on; nobody waits for an offer."""
    home.offer_all()
    return [type(event) for event in home.report(execution_id, **{"takes_next": True, **more})]  # type: ignore[arg-type]  # by name


def test_the_next_in_line_is_started_by_the_worker_that_ends_the_one_before_in_the_same_commit() -> None:
    home = world()
    first, second, third = asked(home, 3)
    home.start(first)
    home.offer_all()
    events = home.report(first, takes_next=True, timeout_ms=60_000)
    seq = home.partition.head.seq
    assert events == [
        Completed(first, 1),
        Due(second),
        Started(second, 1, token_of(1, Address(seq, 1)), WORKER, 0, Micros(home.now + 60 * SECOND), first),
    ]
    state = home.partition.executions[second]
    assert isinstance(state, Active) and state.relayed and state.worker == WORKER
    assert home.partition.holders[KEY] == second
    assert isinstance(home.partition.executions[third], Buffered)
    assert end(home, second) == [Completed, Due, Started]
    assert end(home, third) == [Completed]


def test_a_relayed_start_has_a_deadline_that_the_tables_can_hold() -> None:
    home = world()
    first, _, _ = asked(home, 3)
    home.start(first)
    home.offer_all()
    *_, started = home.report(first, takes_next=True, timeout_ms=10**25)
    assert isinstance(started, Started) and started.deadline_at is not None and started.deadline_at <= LATEST


def test_who_comes_later_waits_in_line_behind_a_relayed_one() -> None:
    home = world()
    first, _ = asked(home, 2)
    home.start(first)
    end(home, first)
    (third,) = asked(home)
    assert isinstance(home.partition.executions[third], Buffered)


def test_a_report_that_comes_twice_relays_once() -> None:
    home = world()
    first, second, third = asked(home, 3)
    home.start(first)
    state = home.partition.executions[first]
    assert isinstance(state, Active)
    end(home, first)
    assert home.send(Report(first, state.token, WORKER, outcome="completed", takes_next=True)) == []
    assert isinstance(home.partition.executions[second], Active) and isinstance(home.partition.executions[third], Buffered)


@pytest.mark.parametrize("outcome", ["failed", "timed_out", "cancelled"])
def test_however_the_one_before_ended(outcome: str) -> None:
    home = world()
    first, _ = asked(home, 2)
    home.start(first)
    assert end(home, first, outcome=outcome)[-2:] == [Due, Started]


def test_what_is_tried_again_keeps_its_key_and_nothing_is_relayed() -> None:
    home = world()
    first, second = asked(home, 2)
    home.start(first)
    assert Started not in end(home, first, outcome="failed", retry_after_ms=1000)
    assert isinstance(home.partition.executions[second], Buffered)


def paused(scope: str, name: str) -> Callable[[Home], None]:
    def pause(home: Home) -> None:
        home.ask(Pause(home.name(), scope, name))  # type: ignore[arg-type]  # one of the scopes
        home.act()

    return pause


@pytest.mark.parametrize(("scope", "name"), [("job", "sync"), ("queue", "default"), ("tenant", "ada"), ("key", KEY)])
def test_what_is_paused_is_granted_and_not_relayed(scope: str, name: str) -> None:
    home = world()
    first, second = asked(home, 2, tenant="ada")
    home.start(first)
    paused(scope, name)(home)
    assert end(home, first) == [Completed, Due]
    assert isinstance(home.partition.executions[second], Waiting)


def test_another_version_is_offered_as_ever_for_it_may_be_another_worker_s() -> None:
    home = world()
    (first,) = asked(home)
    home.start(first)
    home.ask(Register(home.name(), "sync", "sync", "on_demand", "default", 2, "h2", exclusive_scope="key"))
    asked(home)
    assert end(home, first) == [Completed, Due]


def test_what_waits_for_an_offer_comes_first() -> None:
    home = world()
    first, _ = asked(home, 2)
    home.start(first)
    home.send(request.Submit(home.name(), "beat"))
    assert [type(event) for event in home.report(first, takes_next=True)] == [Completed, Due]


def test_a_worker_that_has_no_room_is_not_relayed_to() -> None:
    home = world()
    first, _ = asked(home, 2)
    home.start(first)
    assert end(home, first, takes_next=False) == [Completed, Due]


def test_a_report_that_lay_about_says_little_of_its_worker() -> None:
    home = world()
    first, _ = asked(home, 2)
    home.start(first)
    state = home.partition.executions[first]
    assert isinstance(state, Active)
    home.offer_all()
    report = Report(first, state.token, WORKER, outcome="completed", takes_next=True)
    home.writer.deliver(home.commands, Micros(home.now), [report])
    home.commands += 1
    assert [type(event) for event in home.act(home.now + SECOND + 1)] == [Completed, Due]


def test_large_data_goes_by_kafka() -> None:
    home = world()
    (first,) = asked(home)
    asked(home, data=Raw(b'"' + b"x" * MOST_BYTES + b'"'))
    home.start(first)
    assert end(home, first) == [Completed, Due]


def test_what_can_start_in_time_no_more_is_left_to_its_deadline() -> None:
    home = world()
    (first,) = asked(home)
    asked(home, options=Options(start_deadline_ms=1000))
    home.start(first)
    home.now += 2 * SECOND
    assert Started not in end(home, first)


def test_a_draft_that_has_no_room_takes_back_what_it_would_have_relayed() -> None:
    home = world()
    first, _ = asked(home, 2)
    home.start(first)
    home.offer_all()
    draft = home.draft()
    assert draft.include([execution.ReportRefused(first, Token(1), WORKER, "stale_token")] * (MOST_EVENTS - 2))
    state = home.partition.executions[first]
    assert isinstance(state, Active)
    report = Report(first, state.token, WORKER, outcome="completed", takes_next=True)
    assert draft.add(Delivered(NOWHERE, Micros(home.now), report)) == "full"
    assert draft.effects.relayed == []


def test_the_loss_of_its_worker_grants_it_again() -> None:
    home = world()
    first, second = asked(home, 2)
    home.start(first)
    end(home, first)
    assert home.lose(WORKER) == [AttemptLost(second, 1, WORKER)]
    state = home.partition.executions[second]
    assert isinstance(state, Waiting) and state.attempt == 2


def test_a_worker_that_has_to_go_hands_it_back_uncounted() -> None:
    home = world()
    first, second = asked(home, 2)
    home.start(first)
    end(home, first)
    assert end(home, second, outcome="handed_back") == [HandedBack]
    state = home.partition.executions[second]
    assert isinstance(state, Waiting) and state.attempt == 1


# What its worker is told


def relaying() -> tuple[Home, Relay, ExecutionId]:
    """The worker ended the first of two, and the second is its own now."""
    home = world()
    first, second = asked(home, 2, data=Raw(b"[7]"))
    home.start(first)
    end(home, first)
    return home, Relay(home.partition, home.facts.registry, lambda worker: f"orders:{worker}"), second


def order_of(home: Home, execution_id: ExecutionId, at: int) -> tuple[str, Order]:
    state = home.partition.executions[execution_id]
    assert isinstance(state, Active)
    offer = Offer(execution_id, state.token, 1, "sync", "sync", 1, Raw(b"[7]"), exclusive_key=KEY)
    return "orders:w", Order(execution_id, "next", state.token, offer=offer, at=Micros(at))


def test_its_worker_is_told_all_it_has_to_know_and_again_until_it_is_heard_of() -> None:
    home, relay, second = relaying()
    assert relay.tell([second], Micros(5), 100.0) == [order_of(home, second, 5)]
    assert relay.again(Micros(6), 100.0 + AGAIN / 2) == []
    assert relay.again(Micros(6), 100.0 + AGAIN) == [order_of(home, second, 6)]
    relay.heard([], [("orders:w", Order(second, "accepted"))])
    assert not relay and relay.again(Micros(7), 200.0) == []


def test_an_end_is_a_word_too() -> None:
    home, relay, second = relaying()
    relay.tell([second], Micros(5), 100.0)
    relay.heard(home.report(second), [])
    assert not relay


def test_a_new_owner_tells_once_more_what_was_relayed_and_runs() -> None:
    home, _, second = relaying()
    home.restart(from_snapshot=True)
    relay = Relay(home.partition, home.facts.registry, lambda worker: f"orders:{worker}")
    relay.begin()
    assert relay.again(Micros(9), 0.0) == [order_of(home, second, 9)]


def test_what_was_started_by_a_report_is_nobodys_news() -> None:
    home = world()
    (first,) = asked(home)
    home.start(first)
    relay = Relay(home.partition, home.facts.registry, lambda worker: WorkerId(worker))
    relay.begin()
    assert not relay


# What is decided together


def told(home: Home, *keys: str) -> tuple[Relay, list[Report]]:
    """A relay that told a worker of the second execution of each key at the time 100, and the reports of their ends."""
    relay = Relay(home.partition, home.facts.registry, lambda worker: f"orders:{worker}")
    reports = []
    for key in keys:
        first, second = asked(home, 2, exclusive_key=key)
        home.start(first)
        end(home, first)
        relay.tell([second], Micros(home.now), 100.0)
        state = home.partition.executions[second]
        assert isinstance(state, Active)
        reports.append(Report(second, state.token, WORKER, outcome="completed", takes_next=True))
    return relay, reports


def inbox(*items: wire.Item) -> list[Delivered]:
    return [Delivered(Position(7, nth), Micros(5), item) for nth, item in enumerate(items)]


def test_the_first_that_ends_waits_a_moment_for_those_that_began_with_it() -> None:
    relay, (one, two, three) = told(world(), "a", "b", "c")
    assert relay.comes_soon(inbox(one), 100.005) == pytest.approx(SOON - 0.005)
    assert relay.comes_soon(inbox(one, three), 100.005) == pytest.approx(SOON - 0.005)
    assert relay.comes_soon(inbox(one, two, three), 100.005) == 0


def test_nobody_waits_for_what_takes_longer_nor_where_nothing_ended() -> None:
    relay, (one, _) = told(world(), "a", "b")
    assert relay.comes_soon(inbox(one), 100.0 + SOON) == 0
    assert relay.comes_soon([], 100.0) == 0


def test_only_relays_wait_for_each_other() -> None:
    relay, (one, _) = told(world(), "a", "b")
    assert relay.comes_soon(inbox(one, request.Submit("c1", "sync")), 100.0) == 0
    assert relay.comes_soon(inbox(one, Report(ExecutionId("x-0"), Token(1), WORKER, answer="orders:w")), 100.0) == 0
    assert relay.comes_soon(inbox(*[one] * (MOST_TOGETHER + 1)), 100.0) == 0
