"""A copy of a real log, kept in `tests/golden/log`, damaged in every way: each damage is located exactly."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.core import chain, wire
from ledger.core.archive import Checker, Place
from ledger.kafka.blame import Vouched
from tests.unit.log.chains import chain_of
from tests.unit.log.test_verify import verified

EXPORT = Path(__file__).parents[2] / "golden" / "log" / "2026-11-28-worked.jsonl"
SEED = int(os.environ.get("JOBLEDGER_SEED", "20261128"))


def _read() -> tuple[str, dict[Place, list[bytes]]]:
    checker, found = Checker(), dict[Place, list[bytes]]()
    for line in EXPORT.read_bytes().splitlines(keepends=True):
        if isinstance(taken := checker.take(line), tuple):
            found.setdefault(taken[0], []).append(taken[1])
    return checker.whole()[0].log_id, found


LOG_ID, LOGS = _read()
PLACES = sorted(LOGS)


def located(place: Place, records: list[bytes]) -> int | None:
    """The offset that verify names, with tables that were folded to the end."""
    good = LOGS[place]
    finding = verified(records, Vouched(LOG_ID, len(good), chain.digest(good[-1])), place)
    return finding.offset


@pytest.mark.parametrize("place", PLACES)
def test_as_it_is_nothing_is_found(place: Place) -> None:
    assert located(place, LOGS[place]) is None


@pytest.mark.parametrize("flips", [1, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("place", PLACES)
def test_a_flipped_bit_in_any_commit(place: Place, flips: int) -> None:
    chance, good = random.Random(SEED), LOGS[place]
    for nth in range(len(good)):
        for _ in range(flips):
            altered = bytearray(good[nth])
            altered[chance.randrange(len(altered))] ^= 1 << chance.randrange(8)
            assert located(place, [*good[:nth], bytes(altered), *good[nth + 1 :]]) == nth, (nth, bytes(altered))


Damage = Callable[[list[bytes], int], list[bytes]]
FOREIGN = chain_of(400, log_id="f" * 32)
DAMAGES: dict[str, Damage] = {
    "dropped": lambda good, nth: [*good[:nth], *good[nth + 1 :]],
    "swapped with the next": lambda good, nth: [*good[:nth], *good[nth : nth + 2][::-1], *good[nth + 2 :]],
    "cut short": lambda good, nth: [*good[:nth], good[nth][: len(good[nth]) // 2], *good[nth + 1 :]],
    "emptied": lambda good, nth: [*good[:nth], b"", *good[nth + 1 :]],
    "replaced by another log's": lambda good, nth: [*good[:nth], FOREIGN[nth], *good[nth + 1 :]],
    "another log's put before": lambda good, nth: [*good[:nth], FOREIGN[nth], *good[nth:]],
    "and all behind it gone": lambda good, nth: good[:nth],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("place", PLACES)
def test_any_commit(place: Place, damage: str) -> None:
    good = LOGS[place]
    for nth in range(1, len(good)):
        if damage == "swapped with the next" and nth == len(good) - 1:
            continue
        assert located(place, DAMAGES[damage](good, nth)) == nth, nth


@pytest.mark.parametrize("place", PLACES)
def test_one_that_is_there_twice_is_void_and_harms_nobody(place: Place) -> None:
    good = LOGS[place]
    for nth in range(len(good)):
        finding = verified([*good[: nth + 1], good[nth], *good[nth + 1 :]], None, place)
        assert (finding.offset, finding.voids, finding.seq) == (None, 1, wire.decode_header(good[-1]).seq)
