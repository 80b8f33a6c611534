"""Starts of a replay that are held: for another of the job to end, or for a pause to. No I/O here."""

from heapq import heappop, heappush

from ledger.client.whatif_plans import Planned, Plans


class Held:
    """Who is held keeps its place in line. Where one of a job ends, the first of the job's line tries again, and no other."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self._known: dict[Planned, tuple[int, str]] = {}  # whoever was held once: its place and its job
        self._lines: dict[str, list[tuple[int, Planned]]] = {}  # by job, as heaps
        self._paused: list[tuple[int, Planned]] = []
        self._spared: str | None = None  # who tried last did not take its chance: that is for the next of this job

    def hold(self, planned: Planned, job_id: str, *, is_full: bool) -> None:
        """`is_full`: as many of the job run as may; else it is paused."""
        place, _ = self._known.setdefault(planned, (len(self._known), job_id))
        if is_full:
            heappush(self._lines.setdefault(job_id, []), (place, planned))
        else:
            self._paused.append((place, planned))
            self._spared = job_id

    def came_to_nothing(self, planned: Planned) -> None:
        """It does not start any more, or ended."""
        if planned in self._known:
            self._spared = self._known[planned][1]

    def instead(self) -> Planned | None:
        """Who tries in the place of the one that tried last."""
        job_id, self._spared = self._spared, None
        line = None if job_id is None else self._lines.get(job_id)
        return heappop(line)[1] if line else None

    def ended(self, job_id: str) -> None:
        """One of the job runs no more."""
        if line := self._lines.get(job_id):
            place, planned = heappop(line)
            self._plans.again(planned, place)

    def resumed(self) -> None:
        """A pause may have ended."""
        paused, self._paused = self._paused, []
        for place, planned in paused:
            self._plans.again(planned, place)
