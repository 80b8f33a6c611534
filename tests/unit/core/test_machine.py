"""A partition under whatever comes, in whatever order: commands, ticks, late and wrong reports, lost workers, clock steps, new owners.

A witness reads the log alone and holds each event against what must never happen. Each guard is needed: without it the witness finds it.
"""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from msgspec import structs

from ledger.core import execution, outcome, request, wire
from ledger.core.definition import Register
from ledger.core.draft import Delivered
from ledger.core.execution import Active, Ended, Live, Report, Requested, State, Waiting
from ledger.core.ids import Address, ExecutionId, Micros, Token, WorkerId
from ledger.core.options import Busy, Options
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.pause import Pause, PauseScope, Resume
from ledger.core.tick import Overlap
from tests.unit.control.home import HOUR, SECOND, Home

WORKERS = (WorkerId("ada"), WorkerId("bob"))
TERMINAL = (execution.Completed, execution.Failed, execution.Lost, execution.Cancelled, execution.Skipped, execution.Missed)
ENDS_AN_ATTEMPT = (*TERMINAL, execution.AttemptFailed, execution.AttemptLost, execution.HandedBack, execution.Snoozed)
BY_REPORT = (execution.Started, execution.Progressed, *ENDS_AN_ATTEMPT)
PAUSES: tuple[tuple[PauseScope, str], ...] = (("job", "beat:1"), ("queue", "default"), ("tenant", "acme"), ("key", "key:sync:a"))
ENDS = ("completed", "completed", "failed", "timed_out", "handed_back", "snoozed", "cancelled", "skipped")
OUTCOMES = (*[None] * len(ENDS), *ENDS)
SMALL = st.integers(0, 9)
Grant = tuple[ExecutionId, Token, WorkerId]


class Witness:
    """What the log says, read event by event. It knows nothing of the fold."""

    def __init__(self) -> None:
        self.keys: dict[str, str | None] = {}  # of executions: their exclusivity key
        self.running: dict[str, Token] = {}
        self.holding: dict[str, str] = {}  # exclusivity key -> the execution whose attempt runs
        self.tokens: dict[str, int] = {}  # of an execution or a key: of its last start
        self.ended: set[str] = set()
        self.outcomes = Counter[str]()  # of commands

    def note(self, event: wire.Event) -> None:
        if isinstance(event, outcome.Rejected | outcome.Accepted):
            self.outcomes[event.command_id] += 1
        if not isinstance(event, execution.Event):
            return
        name = event.execution_id
        if isinstance(event, execution.ReportRefused):
            return
        assert name not in self.ended, f"{event} after the end"
        if isinstance(event, Requested):
            assert name not in self.keys, f"{name} is requested twice"
            self.keys[name] = event.exclusive_key
            if event.command_id is not None and event.trigger == "submit":
                self.outcomes[event.command_id] += 1
            return
        assert name in self.keys, f"{event}: nobody asked for it"
        if isinstance(event, execution.Started):
            self._started(name, event.token)
        elif isinstance(event, ENDS_AN_ATTEMPT):
            self.running.pop(name, None)
            if (key := self.keys[name]) is not None and self.holding.get(key) == name:
                del self.holding[key]
        if isinstance(event, TERMINAL):
            self.ended.add(name)

    def _started(self, name: str, token: Token) -> None:
        key = self.keys[name]
        assert name not in self.running, f"two attempts of {name} run"
        for line in (name, key):
            if line is not None:
                assert token > self.tokens.get(line, -1), f"the token of {line} does not rise: {self.tokens[line]}, {token}"
                self.tokens[line] = token
        self.running[name] = token
        if key is not None:
            assert key not in self.holding, f"{name} runs under {key} beside {self.holding[key]}"
            self.holding[key] = name


class Machine(RuleBasedStateMachine):
    """`sync` excludes by key, two schedules by tenant, `beat` nothing. Workers tell whatever they like."""

    deciding: type[PartitionDraft] = PartitionDraft

    def __init__(self) -> None:
        super().__init__()
        self.home = Home(deciding=self.deciding)
        self.witness = Witness()
        self.read = 0
        self.grants: list[Grant] = []  # that somebody reported for
        self.submits: list[tuple[request.Submit, int]] = []  # and when

    @initialize(overlap=st.sampled_from(("skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all")))
    def begin(self, overlap: str) -> None:
        self.home.ask(Register(self.home.name(), "sync", "sync", "on_demand", "default", 1, "h", exclusive_scope="key"))
        for job_id in ("beat:1", "beat:2"):
            self.home.schedule(job_id, tenant="acme", every_ms=7000, overlap=overlap)
        self.home.act()

    # What people and programs want

    @rule(
        key=st.sampled_from(("a", "a", "b", None)),
        busy=st.sampled_from(("wait", "skip", "keep_last", None)),
        delay=st.sampled_from((None, None, 0, 3000)),
        deadline=st.sampled_from((None, None, 5000)),
        idempotent=st.sampled_from((None, None, "once")),
    )
    def submit(self, key: str | None, busy: Busy | None, delay: int | None, deadline: int | None, idempotent: str | None) -> None:
        options = None if busy is None and deadline is None else Options(busy=busy, start_deadline_ms=deadline)
        job = "beat" if key is None else "sync"
        wish = request.Submit(
            self.home.name(), job, exclusive_key=key, delay_ms=delay, options=options, idempotency_key=idempotent, answer="me"
        )
        self.submits.append((wish, self.latest()))
        self.home.send(wish)

    @precondition(lambda self: self.lately())
    @rule(back=SMALL)
    def submit_again(self, back: int) -> None:
        before, lately = self.known(), self.lately()
        self.home.send(lately[-1 - back % len(lately)])
        assert self.known() <= before, "a repeat asked for something"  # what ended long ago may be forgotten meanwhile

    @rule(job=st.sampled_from(("beat:1", "beat:2")), overlap=st.sampled_from((None, "allow_all", "cancel_other")), ignore=st.booleans())
    def run_now(self, job: str, overlap: Overlap | None, ignore: bool) -> None:
        self.home.send(request.RunNow(self.home.name(), job, overlap=overlap, ignore_pause=ignore))

    @precondition(lambda self: self.known())
    @rule(nth=SMALL)
    def cancel(self, nth: int) -> None:
        self.home.send(request.Cancel(self.home.name(), self.pick(nth, list(self.home.partition.executions))))

    @precondition(lambda self: self.witness.ended)
    @rule(nth=SMALL, key=st.sampled_from(("a", "b")))
    def retry(self, nth: int, key: str) -> None:
        ended = self.pick(nth, [ExecutionId(one) for one in sorted(self.witness.ended)])
        exclusive = self.witness.keys[ended] or ""
        job = "sync" if exclusive.startswith("key:") else "beat:1" if exclusive else "beat"
        given = exclusive.removeprefix("key:sync:") if job == "sync" else None
        self.home.send(request.Retry(self.home.name(), ended, job, 1, exclusive_key=given, tenant="acme" if job == "beat:1" else None))

    @rule(where=st.sampled_from(PAUSES), resume=st.booleans())
    def pause(self, where: tuple[PauseScope, str], resume: bool) -> None:
        name = self.home.name()
        self.home.ask(Resume(name, *where, "ada", "go on") if resume else Pause(name, *where, "hold"))
        self.home.act()

    # What workers tell

    @precondition(lambda self: self.ready())
    @rule(nth=SMALL, worker=st.sampled_from(WORKERS), said=st.sampled_from(OUTCOMES), retry=st.sampled_from((None, 0, 4000)))
    def work(self, nth: int, worker: WorkerId, said: str | None, retry: int | None) -> None:
        """For the present grant; of what runs already, its own worker or another."""
        name = self.pick(nth, self.ready())
        state = self.home.partition.executions[name]
        assert isinstance(state, Waiting | Active)
        self.tell((name, state.token, worker if isinstance(state, Waiting) or nth % 2 == 0 else state.worker), said, retry)

    @precondition(lambda self: self.running())
    @rule(nth=SMALL, said=st.sampled_from(OUTCOMES), retry=st.sampled_from((None, 0, 4000)))
    def go_on(self, nth: int, said: str | None, retry: int | None) -> None:
        self.tell(self.running()[nth % len(self.running())], said, retry)

    @precondition(lambda self: self.grants)
    @rule(nth=SMALL, other=st.booleans(), said=st.sampled_from(OUTCOMES), retry=st.sampled_from((None, 0, 4000)))
    def late(self, nth: int, other: bool, said: str | None, retry: int | None) -> None:
        """For a grant of the past, as a worker that was frozen does, or a record that comes twice."""
        old = [grant for grant in self.grants if grant not in self.running()] or self.grants
        name, token, worker = old[-1 - nth % len(old)]
        self.tell((name, token, WORKERS[worker == WORKERS[0]] if other else worker), said, retry)

    def tell(self, grant: Grant, said: str | None, retry: int | None) -> None:
        name, token, worker = grant
        before = self.home.partition.executions.get(name)
        valid = isinstance(before, Waiting | Active) and before.token == token and (isinstance(before, Waiting) or before.worker == worker)
        report = Report(
            name, token, worker, retry_after_ms=retry if said in ("failed", "timed_out") else 2000 if said == "snoozed" else None
        )
        self.home.offer_all()
        report = structs.replace(report, outcome=said, answer=None if said else "orders", takes_next=said is not None)  # type: ignore[arg-type]
        events = self.home.send(report)
        if not valid:
            counted = [one for one in events if isinstance(one, BY_REPORT) and one.execution_id == name]
            assert counted == [], f"{grant} is old, and it counted"
        elif isinstance(before, Waiting):
            self.grants.append(grant)

    @precondition(lambda self: self.running())
    @rule(nth=SMALL)
    def lose(self, nth: int) -> None:
        """The worker of something that runs."""
        self.home.lose(self.running()[nth % len(self.running())][2])

    # What happens to control

    @rule(seconds=st.sampled_from((0, 1, 1, 3, 7, 20, -5, HOUR // SECOND, -HOUR // SECOND)))
    def clock(self, seconds: int) -> None:
        """Also backwards, which decisions never go; but no broker's by more than half the window in which repeats are known."""
        earliest = self.latest() - self.home.partition.window // 2
        self.home.act(max(self.home.now + seconds * SECOND, earliest), lose=seconds == 3)

    @rule(from_snapshot=st.booleans())
    def new_owner(self, from_snapshot: bool) -> None:
        self.home.restart(from_snapshot=from_snapshot)

    # What holds

    @invariant()
    def the_promises_hold(self) -> None:
        self.the_log_is_in_order()
        self.accepted_is_terminal_and_live()
        assert all(times == 1 for times in self.witness.outcomes.values()), "a command has one outcome"

    def the_log_is_in_order(self) -> None:
        for record in self.home.log[self.read :]:
            for event in wire.decode_commit(record).events:
                self.witness.note(event)
        self.read = len(self.home.log)

    def accepted_is_terminal_and_live(self) -> None:
        live = [name for name, state in self.home.partition.executions.items() if isinstance(state, Live)]
        assert len(self.witness.keys) == len(self.witness.ended) + len(live)
        assert self.witness.ended.isdisjoint(live)

    def teardown(self) -> None:
        """Whoever reads the whole log knows the same."""
        again = Partition(0, remembered=5000)
        for offset, record in enumerate(self.home.log):
            again.feed(record, offset)
        assert again.executions == self.home.partition.executions
        assert again.holders == self.home.partition.holders

    def latest(self) -> int:
        return max(self.home.now, self.home.partition.head.at)

    def lately(self) -> list[request.Submit]:
        """Nobody sends again later than half the window after the first time."""
        first: dict[tuple[str | None, ...], int] = {}
        for wish, sent in self.submits:  # a key is remembered from its first submit on
            first.setdefault((wish.job_id, wish.exclusive_key, wish.idempotency_key or wish.command_id), sent)
        horizon = self.latest() - self.home.partition.window // 2
        return [one for one, _ in self.submits if first[one.job_id, one.exclusive_key, one.idempotency_key or one.command_id] >= horizon]

    def known(self) -> set[ExecutionId]:
        return set(self.home.partition.executions)

    def ready(self) -> list[ExecutionId]:
        return [name for name, state in self.home.partition.executions.items() if isinstance(state, Waiting | Active)]

    def running(self) -> list[Grant]:
        states = self.home.partition.executions.items()
        return [(name, state.token, state.worker) for name, state in states if isinstance(state, Active)]

    @staticmethod
    def pick(nth: int, names: Sequence[ExecutionId]) -> ExecutionId:
        return names[nth % len(names)]


def run(machine: type[Machine], cases: int, steps: int, *, derandomize: bool = True, phases: Sequence[Phase] = tuple(Phase)) -> None:
    checks = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=cases,
            stateful_step_count=steps,
            deadline=None,
            derandomize=derandomize,
            phases=phases,
            database=None,
            suppress_health_check=checks,
            report_multiple_bugs=False,
        ),
    )


def test_whatever_comes_the_log_keeps_its_promises() -> None:
    run(Machine, 200, 25)


@pytest.mark.slow
def test_whatever_comes_the_log_keeps_its_promises_in_2000_cases() -> None:
    run(Machine, 2000, 50, derandomize=False)


# Without a guard


class NobodyHoldsAKey(PartitionDraft):
    def holder(self, exclusive_key: str) -> ExecutionId | None:
        return None


class BelievesEveryToken(PartitionDraft):
    """A report counts for whatever runs."""

    def decide(self, delivered: Delivered) -> Sequence[wire.Event]:
        report = delivered.item
        if isinstance(report, Report) and isinstance(state := self.state_of(report.execution_id), Active):
            delivered = structs.replace(delivered, item=structs.replace(report, token=state.token, worker=state.worker))
        return super().decide(delivered)


class GrantsUnderTheOldToken(PartitionDraft):
    def preview(self, event: wire.Event, address: Address) -> State | None:
        before = self.state_of(event.execution_id) if isinstance(event, execution.AttemptLost) else None
        after = super().preview(event, address)
        if isinstance(before, Active) and isinstance(after, Waiting):
            after = self.executions[before.request.execution_id] = structs.replace(after, token=before.token)
        return after


class EndsAreNotForEver(PartitionDraft):
    def preview(self, event: wire.Event, address: Address) -> State | None:
        before = self.state_of(event.execution_id) if isinstance(event, execution.Completed) else None
        after = super().preview(event, address)
        if before is not None and isinstance(event, execution.Completed):
            self.executions[event.execution_id] = after = before
        return after


class LosesWhoWaitsInLine(PartitionDraft):
    def preview(self, event: wire.Event, address: Address) -> State | None:
        after = super().preview(event, address)
        if isinstance(event, Requested) and event.blocked_by is not None:
            after = self.executions[event.execution_id] = Ended()
        return after


class AnswersRepeatsAnew(PartitionDraft):
    """An idempotency key is not remembered, nor is a command's id."""

    def _identify(self, submit: request.Submit, exclusive: str | None, appended: Micros) -> tuple[ExecutionId, bool]:
        return super()._identify(submit, exclusive, appended)[0], False


@pytest.mark.parametrize(
    "guard",
    [NobodyHoldsAKey, BelievesEveryToken, GrantsUnderTheOldToken, EndsAreNotForEver, LosesWhoWaitsInLine, AnswersRepeatsAnew],
)
def test_each_guard_is_needed(guard: type[PartitionDraft]) -> None:
    class Unguarded(Machine):
        deciding = guard

    with pytest.raises(AssertionError):
        run(Unguarded, 500, 25, phases=[Phase.generate])  # that it is found is enough, how small it can be made is of no interest
