"""Chunks of snapshots: whatever the state, each is one that the topic takes, and together they are the state."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, json

from ledger.core import backfill, outcome, sealing, snapshot, wire
from ledger.core.execution import Active, CancelRequested, Requested
from ledger.core.history import Past, Was
from ledger.core.ids import Address, ExecutionId, Micros, Token, WorkerId
from ledger.core.partition import Partition
from ledger.core.repeats import Keyed
from ledger.core.tick import InForce, Stopped

NOON = Micros(1_800_000_000_000_000)
SIZES = st.sampled_from([0, 10, 3_000, 100_000, 250_000])
MANY = st.lists(SIZES, max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(SIZES, st.integers(1, 300)), max_size=10))
def test_each_holds_what_fits_in_order_and_one_entry_at_least(groups: list[tuple[int, int]]) -> None:
    entries = ["x" * size for size, times in groups for _ in range(min(times, 2_000_000 // (size + 1) + 1))]
    chunks = list(sealing.chunks_of("some", entries))
    named = list(sealing.chunks_of_named("some", ((str(nth), entry) for nth, entry in enumerate(entries))))
    assert [entry for chunk in chunks for entry in json.decode(chunk)["some"]] == entries
    assert [entry for chunk in named for entry in json.decode(chunk)["some"].values()] == entries
    for chunk in (*chunks, *named):
        assert len(chunk) <= sealing.BYTES_PER_CHUNK + 100
    assert len(chunks) <= 2 * sum(map(len, entries)) // sealing.BYTES_PER_CHUNK + len(entries) // sealing.ENTRIES_PER_CHUNK + 1


def requested(nth: int, size: int) -> Requested:
    labels = {f"label-{n}": "v" * (size // 16) for n in range(16)}
    return Requested(ExecutionId(f"{nth:032x}-0"), "send", "send", 1, "on_demand", "default", NOON, data=Raw(b"1"), labels=labels)


def eventful(sizes: dict[str, list[int]]) -> Partition:
    """Entries of these sizes in each part of the state."""
    fold = Partition(0, remembered=5000)
    for nth, size in enumerate(sizes["live"]):
        request, text = requested(nth, size), "x" * size
        cancel = CancelRequested(request.execution_id, "asked", None, text)
        fold.executions[request.execution_id] = Active(request, Token(nth), WorkerId(text), 1, 0, 5, text, cancel)
    for nth, size in enumerate(sizes["said"]):
        name, text = f"c{nth}", "x" * size
        fold.rejections[name] = outcome.Rejected(name, "job.run_now.v1", "unknown_job", text, None, text, text)
        fold.acts[name] = outcome.Accepted(name, "job.backfill.v1", "applied", actor=text)
        fold.backfills[name] = backfill.Running(backfill.Begun(name, "beat", 1, Micros(0), NOON, 5, reason=text), Micros(0))
        fold.backfilled[name] = None
        fold.bulks[name], fold.letters[name] = True, "redriven"
        fold.keys[text + name] = Keyed(ExecutionId(name), NOON, NOON)
        fold.of_keys[text + name] = NOON
        fold.keyed.append((NOON, text + name))
        fold.retries[ExecutionId(name)] = (ExecutionId("other"), NOON)
        fold.schedules[name] = InForce(1, NOON, stopped=Stopped(NOON, Address(1, 0), text))
        fold.history[name] = Past([Was(NOON, NOON, 1)] * (size // 2500), range(size // 100), 0)
    fold.index()
    return fold


@settings(deadline=None, max_examples=30)
@given(st.fixed_dictionaries({"live": MANY, "said": MANY}))
def test_whatever_the_state_the_topic_takes_each_and_it_is_the_same_state_again(sizes: dict[str, list[int]]) -> None:
    fold, restored = eventful(sizes), Partition(0, remembered=5000)
    frozen = snapshot.FrozenPartition(fold)
    chunks = list(frozen.chunks())
    assert all(len(chunk) <= wire.LARGEST_RECORD for chunk in chunks)
    seal = sealing.read_final(frozen.final(len(chunks), sealing.digest_of(chunks)))
    assert seal is not None and snapshot.restore(restored, seal, dict(enumerate(chunks)))
    for part in (
        "executions",
        "rejections",
        "acts",
        "backfills",
        "backfilled",
        "bulks",
        "letters",
        "keys",
        "of_keys",
        "retries",
        "schedules",
        "keyed",
    ):
        assert getattr(restored, part) == getattr(fold, part), part
    assert {name: (past.spans, past.unfired) for name, past in restored.history.items()} == {
        name: (past.spans, past.unfired) for name, past in fold.history.items()
    }
