"""Step 5, start, and what follows until an attempt has ended: its time, its progress, and being asked to stop."""

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import structlog

from ledger.context import Context, current_attempt
from ledger.core.orders import Order
from ledger.handlers import RunIn
from processors.runner import settle
from processors.runner.attempt import Attempt
from processors.runner.outbox import Bug, Outbox
from processors.runner.perform import Perform

log = structlog.get_logger(__name__)
PROGRESS_APART: Final = 0.5  # seconds between two reports of progress of an attempt
NEVER: Final = math.inf
BY_A_PERSON: Final = "asked"  # the reason of such an order


class Running:
    """The attempts whose code runs. `ended` is told of each that has ended, before its slot is given on.

    `stuck` is told when code goes on for `grace` seconds after it was asked to stop: only the end of the process ends it. `overrun` is told
    when code goes on for `margin` seconds after it was told that its lock is in doubt: now another may run, so the process ends at once.
    `cancel_grace`: seconds for code that somebody cancelled, before it is made to stop.
    """

    def __init__(
        self,
        outbox: Outbox,
        ways: Mapping[RunIn, Perform],
        ended: Callable[[Attempt], None],
        *,
        grace: float,
        cancel_grace: float,
        margin: float,
        stuck: Callable[[], None],
        overrun: Callable[[], None],
        bug: Bug,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._ways = ways
        self._ended = ended
        self._grace = grace
        self._cancel_grace = cancel_grace
        self._margin = margin
        self._stuck = stuck
        self._overrun = overrun
        self._bug = bug
        self._clock = clock
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._look: asyncio.TimerHandle | None = None
        self._look_at = NEVER
        self.attempts: dict[str, Attempt] = {}  # by claim
        self._unguarded: set[Attempt] = set()  # stopped because their lock cannot be counted on
        self._forced: set[Attempt] = set()  # made to stop because somebody cancelled them

    def held_claims(self) -> list[str]:
        """The claims of these attempts. Copying the keys is one step of the interpreter, so any thread may ask."""
        return list(self.attempts)

    def start(self, attempts: Iterable[Attempt]) -> None:
        """Begin them, and tell it."""
        self.begin(attempts)
        for attempt in attempts:  # after all first steps are due, so that what ends in them is told in one report
            self._outbox.tell(attempt)

    def begin(self, attempts: Iterable[Attempt]) -> None:
        """Begin what control knows the start of."""
        now, loop = self._clock(), self._loop
        earliest = NEVER
        for attempt in attempts:
            assert attempt.handler is not None
            assert attempt.timeout_ms is not None
            attempt.started = now
            attempt.due = due = now + attempt.timeout_ms / 1000
            if due < earliest:
                earliest = due
            attempt.context = Context(attempt.offer, due, partial(self._progress, attempt), attempt)
            self.attempts[attempt.claim] = attempt
            attempt.task = loop.create_task(self._perform(attempt, self._ways[attempt.handler.run_in]))
        self._look_by(earliest)

    async def _perform(self, attempt: Attempt, perform: Perform) -> None:
        try:
            await perform(attempt)
            current_attempt.set(None)  # what follows is not its code: nor are the tasks and timers that begin there
            self._settle(attempt)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._bug(error)

    def _settle(self, attempt: Attempt) -> None:
        if attempt.ended:
            return  # given up, and its code ended after all
        attempt.ended = self._clock()
        attempt.task = attempt.context = None  # they refer back to it: what is no ring needs no collector
        del self.attempts[attempt.claim]
        if self._unguarded or self._forced:
            self._unguarded.discard(attempt)
            self._forced.discard(attempt)
        self._outbox.tell(attempt)
        self._ended(attempt)

    def _look_by(self, due: float) -> None:
        """One timer for all attempts: few run at a time, and most end long before their time is up."""
        if due >= self._look_at:
            return
        if self._look is not None:
            self._look.cancel()
        self._look_at = due
        self._look = self._loop.call_later(max(0.0, due - self._clock()), self._look_round)

    def _look_round(self) -> None:
        self._look, self._look_at = None, NEVER
        now = self._clock()
        for attempt in [attempt for attempt in self.attempts.values() if attempt.due <= now]:
            self._time_is_up(attempt)
        self._look_by(min((attempt.due for attempt in self.attempts.values()), default=NEVER))

    def _time_is_up(self, attempt: Attempt) -> None:
        if attempt.stopping == "timed_out" or attempt in self._unguarded or attempt in self._forced:
            attempt.due = NEVER
            self._insist(attempt, self._overrun if attempt in self._unguarded else self._stuck)
            return
        if attempt.patience is not None:
            self._force(attempt)
            return
        if attempt.stopping != "handed_back":
            attempt.stopping = "timed_out"
        self._ask_to_stop(attempt)
        attempt.due = self._clock() + self._grace

    def _ask_to_stop(self, attempt: Attempt) -> None:
        assert attempt.context is not None
        assert attempt.task is not None
        attempt.context.cancelled = True
        if can_be_cancelled(attempt):
            self._cancel(attempt.task)
        attempt.due = NEVER

    def _cancel(self, task: asyncio.Task[None]) -> None:
        """After its first step, which may be due only now: a task that is cancelled before never comes to settle its attempt."""
        self._loop.call_soon(task.cancel)

    def obey(self, order: Order) -> None:
        """Control wants an attempt to stop. If a person wants it, it has a while to do so and then is made to; else its time goes on: code
        that does not mind runs out of it as ever."""
        for attempt in list(self.attempts.values()):
            if attempt.offer.execution_id == order.execution_id and _is_meant(order, attempt):
                self._stop(attempt, order)

    def _stop(self, attempt: Attempt, order: Order) -> None:
        if order.why == "accepted" or order.why == "next":
            return
        by_a_person = order.why == "cancelled" and order.reason == BY_A_PERSON
        if attempt.stopping in ("timed_out", "handed_back"):
            return
        if attempt.stopping == order.why and (attempt.patience is not None or not by_a_person):
            return  # told again
        log.warning(
            "control wants this attempt to stop",
            action=f"attempt.{order.why}",
            job_name=attempt.offer.job_name,
            execution_id=order.execution_id,
            attempt=attempt.offer.attempt,
            reason=order.reason,
        )
        attempt.stopping, due = order.why, attempt.due
        if by_a_person:
            self._ask_kindly(attempt)
            return
        self._ask_to_stop(attempt)
        attempt.due = due

    def _ask_kindly(self, attempt: Attempt) -> None:
        """`Context.cancelled` first. A process gets the word, and is killed when its time for that is over."""
        assert attempt.context is not None
        assert attempt.task is not None
        attempt.context.cancelled = True
        attempt.patience = self._cancel_grace
        if attempt.handler is not None and attempt.handler.run_in == "process":
            self._cancel(attempt.task)
        attempt.due = min(attempt.due, self._clock() + self._cancel_grace)
        self._look_by(attempt.due)

    def _force(self, attempt: Attempt) -> None:
        """It had its time. A coroutine is cancelled where it awaits, and has it once more; a thread ends with its process alone."""
        self._forced.add(attempt)
        attempt.due = NEVER
        if can_be_cancelled(attempt):
            self._ask_to_stop(attempt)
            attempt.due = self._clock() + self._grace
        else:
            self._insist(attempt, self._stuck)

    def unguarded(self, attempt: Attempt, why: str) -> None:
        """Its lock cannot be counted on for much longer. Code that does not mind ends with this process, before another may run."""
        if attempt.ended or attempt.claim not in self.attempts or attempt in self._unguarded:
            return
        log.warning(
            "this attempt has to stop: another may run in its place soon",
            action="attempt.unguarded",
            job_name=attempt.offer.job_name,
            execution_id=attempt.offer.execution_id,
            attempt=attempt.offer.attempt,
            reason=why,
        )
        self._unguarded.add(attempt)
        if attempt.stopping is None:
            attempt.stopping = "handed_back"
        self._ask_to_stop(attempt)
        attempt.due = self._clock() + self._margin
        self._look_by(attempt.due)

    def _insist(self, attempt: Attempt, end: Callable[[], None]) -> None:
        log.error(
            "code goes on after it was asked to stop; this process will end, so that it ends",
            action="attempt.stuck",
            job_name=attempt.offer.job_name,
            execution_id=attempt.offer.execution_id,
            asked_because=attempt.stopping,
        )
        end()

    # Progress

    def _progress(self, attempt: Attempt, percent: int, note: str | None) -> None:
        percent, note = min(100, max(0, int(percent))), settle.clean_note(note)
        ours = contextvars.Context()  # and not that of the code: what begins in it outlives the attempt
        if threading.get_ident() == self._thread:
            ours.run(self._note, attempt, percent, note)
        else:
            self._loop.call_soon_threadsafe(self._note, attempt, percent, note, context=ours)

    def _note(self, attempt: Attempt, percent: int, note: str | None) -> None:
        if attempt.ended:
            return
        attempt.progress, attempt.note = percent, note
        if attempt.untold_progress:
            return  # it will be told, with what it is by then
        attempt.untold_progress = True
        rest = attempt.progress_told + PROGRESS_APART - self._clock() if attempt.progress_told >= 0 else 0.0
        if rest <= 0:
            self._outbox.tell(attempt)
        else:
            self._loop.call_later(rest, self._tell_progress, attempt)

    def _tell_progress(self, attempt: Attempt) -> None:
        if attempt.untold_progress and not attempt.ended:
            self._outbox.tell(attempt)

    # The end

    async def wait(self, seconds: float) -> None:
        """Until all have ended, at most so long."""
        tasks = [attempt.task for attempt in self.attempts.values() if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def hand_back(self) -> None:
        """Ask all to stop, because this worker has to go. Those whose lock is in doubt were asked, and have less time."""
        for attempt in [one for one in self.attempts.values() if one not in self._unguarded]:
            if attempt.stopping is None:
                attempt.stopping = "handed_back"
            self._ask_to_stop(attempt)

    def give_up(self) -> bool:
        """Settle what did not end although it was asked to; this process must end now. True if there is such code.

        Its exclusive attempts stay unsaid: only when the process is gone may others run, and the lease tells that."""
        stubborn = list(self.attempts.values())
        for attempt in stubborn:
            if attempt.offer.exclusive_key is None:
                (settle.timed_out if attempt.stopping == "timed_out" else settle.handed_back)(attempt)
                self._settle(attempt)
        return bool(stubborn)


def _is_meant(order: Order, attempt: Attempt) -> bool:
    offer = attempt.offer
    return offer.token == order.token or (order.attempt is not None and offer.attempt <= order.attempt)


def can_be_cancelled(attempt: Attempt) -> bool:
    """A coroutine where it awaits, a process by being told and killed; a thread cannot."""
    return attempt.handler is not None and attempt.handler.run_in != "thread"
