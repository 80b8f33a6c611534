"""Perform CPU-bound code in a process of its own. Asked to stop it is told so, and killed if it goes on: then the attempt has ended."""

import asyncio
from dataclasses import dataclass
from time import monotonic

from ledger.context import ProcessDied
from processors.runner import perform, settle
from processors.runner.attempt import Attempt
from processors.runner.child_submits import answer_to
from processors.runner.child_wire import End, Run, Stop, Submits, Told
from processors.runner.children import Child, ChildGone, Children


@dataclass(frozen=True, slots=True)
class InProcess:
    """`patience`: seconds between the word and the kill, where the attempt says no other."""

    children: Children
    patience: float

    async def __call__(self, attempt: Attempt) -> None:
        perform.begin(attempt)
        try:
            child = await self.children.take()
        except ChildGone as error:
            perform.settle_error(attempt, ProcessDied(str(error)))
            return
        except asyncio.CancelledError as error:
            perform.settle_error(attempt, error)
            return
        try:
            perform.refuse_without_lock(attempt)
        except asyncio.CancelledError as error:
            self.children.give_back(child)
            perform.settle_error(attempt, error)
            return
        talk = asyncio.create_task(self._talk(child, attempt))
        killing: asyncio.TimerHandle | None = None
        while not talk.done():
            try:
                await asyncio.wait([talk])
            except asyncio.CancelledError:
                child.send(Stop(attempt.offer.token, attempt.stopping or "handed_back"))
                killing = self._kill_later(child, attempt, killing)
        if killing is not None:
            killing.cancel()
        if talk.result():
            self.children.give_back(child)  # only now: nothing kills it any more

    def _kill_later(self, child: Child, attempt: Attempt, before: asyncio.TimerHandle | None) -> asyncio.TimerHandle:
        """The time that a person gives it ends early where it is asked once more: then it has to stop at once."""
        loop = asyncio.get_running_loop()
        patience = self.patience if before is not None or attempt.patience is None else attempt.patience
        if before is not None:
            if before.when() <= loop.time() + patience:
                return before
            before.cancel()
        return loop.call_later(patience, child.kill)

    async def _talk(self, child: Child, attempt: Attempt) -> bool:
        """Until its code has ended: it said so, or is gone. True: the process is of further use."""
        try:
            end = await self._end_of(child, attempt)
        except ChildGone as gone:
            await self.children.discard(child)
            # killed because it was asked to stop, or dead by itself
            error = asyncio.CancelledError() if attempt.stopping is not None else ProcessDied(str(gone))
            perform.settle_error(attempt, error)
            return False
        lives_on = end.spent is None and child.is_alive
        if not lives_on:
            await self.children.discard(child)
        _settle(attempt, end)
        return lives_on

    async def _end_of(self, child: Child, attempt: Attempt) -> End:
        child.send(Run(attempt.offer, attempt.timeout_ms or 0, max(0.0, attempt.due - monotonic())))
        submitting: set[asyncio.Task[None]] = set()
        try:
            while True:
                match await child.receive():
                    case End() as end:
                        return end
                    case Told(percent, note) if attempt.context is not None:
                        attempt.context.progress(percent, note)
                    case Submits() as asked:
                        task = asyncio.create_task(self._submit(child, attempt, asked))
                        submitting.add(task)
                        task.add_done_callback(submitting.discard)
        finally:
            for task in submitting:  # nobody waits for them any more
                task.cancel()

    async def _submit(self, child: Child, attempt: Attempt, asked: Submits) -> None:
        answer = await answer_to(asked, attempt)
        if answer.fault == "cancelled":
            child.send(Stop(attempt.offer.token, attempt.stopping or "handed_back"))
        child.send(answer)


def _settle(attempt: Attempt, end: End) -> None:
    if attempt.stopping == "timed_out":
        settle.timed_out(attempt)
        return
    attempt.outcome = end.outcome
    attempt.result = end.result if bytes(end.result) else attempt.result
    attempt.error_type, attempt.error_message = end.error_type, end.error_message
    attempt.retry_after_ms = end.retry_after_ms
