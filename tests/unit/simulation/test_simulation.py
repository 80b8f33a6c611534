"""Nothing is lost, doubled or out of order under faults; and each rule is needed: without it the same world finds what breaks."""

import os
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from ledger.core import chain, wire
from ledger.core.draft import Draft
from ledger.core.ids import Micros, Position
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.writer import Delivery, Writer
from tests.unit.simulation.world import Rules, World, serious

RUNS = 600
STEPS = 160
SEED = int(os.environ.get("JOBLEDGER_SEED", "20261124"))


def simulate(rules: Rules, runs: int, steps: int = STEPS) -> Counter[str]:
    """The sum of what `runs` worlds saw."""
    seen: Counter[str] = Counter()
    for run in range(runs):
        seen += World(random.Random(SEED + run), rules).run(steps)
    return seen


@pytest.mark.parametrize("runs", [RUNS, pytest.param(2000, marks=pytest.mark.slow)])
def test_all_rules_together_lose_and_double_nothing(runs: int) -> None:
    seen = simulate(Rules(), runs)
    assert serious(seen) == {}, f"seed {SEED}"
    assert seen["accepted"] > 10 * runs
    assert seen["void"] > runs / 10, "zombies must have tried"


class TakesWhatWasDecided(Writer[Partition]):
    def is_behind(self, offset: int) -> bool:
        return False

    def is_beyond(self, offset: int) -> bool:
        return False

    def is_news(self, position: Position, decided: Position) -> bool:
        return True


class TakesWhatComes(Writer[Partition]):
    def is_beyond(self, offset: int) -> bool:
        return False


class JudgesRepeatsByItsOwnClock(Writer[Partition]):
    """The time of delivery instead of the broker's append time."""

    clock = 0

    def deliver(self, offset: int, appended: Micros, items: Sequence[wire.Item]) -> Delivery:
        type(self).clock += 40_000_000
        return super().deliver(offset, Micros(appended + type(self).clock), items)


class BelievesEveryAck(Writer[Partition]):
    def confirm(self, draft: Draft[Partition], record: bytes, offset: int) -> bool:
        self.fold.accept(draft.header(), tuple(draft.events), chain.digest(record), offset)
        return True


class ForgetsThePlaceOfQuietBatches(PartitionDraft):
    @property
    def is_worth_a_commit(self) -> bool:
        return bool(self.events)


class CountsVoids(Partition):
    """Accepts a commit of any number: the log without the chain's rule."""

    def _verdict(self, record: bytes | None) -> chain.Verdict:
        return chain.ACCEPTED


class ForgetsAtOnce(Partition):
    """No memory of what ended."""

    def settle(self, at: Micros) -> None:
        while self.ended:
            self.executions.pop(self.ended.popleft()[1], None)
        self.keys.clear()


@pytest.mark.parametrize(
    ("rule", "rules"),
    [
        ("what is at or below the folded position is dropped", Rules(writer=TakesWhatWasDecided)),
        ("a record beyond the next expected offset is refused", Rules(writer=TakesWhatComes)),
        ("repeats are judged between the broker's append times", Rules(writer=JudgesRepeatsByItsOwnClock)),
        ("only an ack at the expected offset counts", Rules(writer=BelievesEveryAck)),
        ("an unknown outcome is no success", Rules(doubt_unknown=False)),
        ("a quiet batch appends its position too", Rules(draft=ForgetsThePlaceOfQuietBatches)),
        ("every reader accepts by the chain's rule", Rules(partition=CountsVoids)),
        ("repeats are remembered", Rules(partition=ForgetsAtOnce)),
    ],
    ids=lambda value: value.replace(" ", "-").replace("'", "") if isinstance(value, str) else "",
)
def test_each_rule_is_needed(rule: str, rules: Rules) -> None:
    for run in range(400):
        try:
            if serious(World(random.Random(SEED + run), rules).run(3 * STEPS)):
                return
        except AssertionError:
            return
    pytest.fail(f"nothing broke without the rule: {rule}")
