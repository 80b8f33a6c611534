"""A cut of a log at work: whatever is in it has what it came of in it, in whichever order the ends of the partitions were looked at."""

from random import Random

import pytest

from ledger.core import chain
from ledger.core.archive import REGISTRY, Place, places
from ledger.core.chain import Header
from ledger.core.ids import NOWHERE, Address
from ledger.kafka.export import Cut
from ledger.kafka.log_reader import AcceptedCommit

PARTITIONS = 3
PLACES = list(places(PARTITIONS))


class World:
    """Brokers with one clock. Each commit comes of all that were there before it."""

    def __init__(self, random: Random) -> None:
        self.random, self.now = random, 1000
        self.order: list[tuple[Place, AcceptedCommit]] = []

    def work(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.now += self.random.choice((0, 0, 1))
            self.append(self.random.choice(PLACES), self.now)

    def append(self, place: Place, appended_ms: int) -> None:
        seq = self.end(place) + 1
        header = Header(1, *place, seq, chain.GENESIS, 0, NOWHERE, None if place == REGISTRY else Address(self.end(REGISTRY), 0))
        self.order.append((place, AcceptedCommit(seq - 1, appended_ms, b"", header, "")))

    def of(self, place: Place) -> list[AcceptedCommit]:
        return [one for where, one in self.order if where == place]

    def end(self, place: Place) -> int:
        return len(self.of(place))

    def look(self) -> dict[Place, int]:
        """One partition after the other, in any order; work goes on meanwhile."""
        ends = dict[Place, int]()
        for place in self.random.sample(PLACES, len(PLACES)):
            ends[place] = self.end(place)
            self.work()
        return ends


def held(world: World, cut: Cut, ends: dict[Place, int]) -> list[tuple[Place, AcceptedCommit]]:
    """What is in the export, in the order in which it was appended."""
    known = cut.of(REGISTRY, world.of(REGISTRY)[: ends[REGISTRY]], 0)
    found = {place: cut.of(place, world.of(place)[: ends[place]], len(known)) for place in PLACES}
    return [(place, one) for place, one in world.order if one in found[place]]


@pytest.mark.parametrize("seed", range(200))
def test_it_holds_all_that_was_seen_and_nothing_without_what_came_before(seed: int) -> None:
    world = World(Random(seed))
    for place in PLACES:
        world.append(place, world.now)
    seen = world.look()
    cut = Cut(seen, max(world.of(place)[end - 1].appended_ms for place, end in seen.items()))
    world.now += 1  # that millisecond is over
    ends = world.look()
    found = held(world, cut, ends)
    assert found == world.order[: len(found)]
    assert all(cut.seen[place] <= sum(where == place for where, _ in found) for place in PLACES)


def test_the_events_name_nothing_that_is_not_in_it_whatever_the_clocks_say() -> None:
    world = World(Random(0))
    for place in PLACES:
        world.append(place, 1000)
    seen = {place: world.end(place) for place in PLACES}
    world.append(REGISTRY, 1005)  # its broker's clock is ahead
    world.append(("events", 1), 1000)
    found = held(world, Cut(seen, 1000), {place: world.end(place) for place in PLACES})
    assert found == world.order[: len(PLACES)]
