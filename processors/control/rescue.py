"""The rescuer: which workers are lost. It judges by its own monotonic clock, with Redis answering throughout. No I/O here.

Source: architecture.md, section 6.
"""

from collections.abc import Set

from ledger.core.ids import WorkerId


class Rescuer:
    """`lease` in seconds. Fed with samples of which worker keys are there, and with the renewals it hears between them."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._seen: dict[WorkerId, float] = {}
        self._sampled_at: float | None = None

    def heard(self, worker: WorkerId, now: float) -> None:
        """A renewal was published."""
        if worker in self._seen:
            self._seen[worker] = now

    def unreachable(self) -> None:
        """Redis did not answer: that says nothing about workers, and the count starts again."""
        self._sampled_at = None

    def sample(self, wanted: Set[WorkerId], present: Set[WorkerId], now: float) -> set[WorkerId]:
        """A look at the keys of the `wanted` workers; those that were missed for a whole lease."""
        if self._sampled_at is None or now - self._sampled_at > self._lease / 3:
            self._seen = dict.fromkeys(wanted, now)  # nobody looked meanwhile
        self._sampled_at = now
        self._seen = {worker: now if worker in present else self._seen.get(worker, now) for worker in wanted}
        return {worker for worker, seen in self._seen.items() if now - seen >= self._lease}
