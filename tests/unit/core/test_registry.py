"""The fold of the registry: what it keeps of a job, its snapshot, and that whoever folds a commit first does so for all."""

import pytest
from msgspec import Raw, structs

from ledger.core import chain, outcome, registry_snapshot, sealing, wire
from ledger.core.definition import ApplyManifest, Register, Retire, ScheduleJob
from ledger.core.draft import Delivered
from ledger.core.ids import NOWHERE, Micros, position
from ledger.core.options import Options
from ledger.core.pause import Pause, Resume
from ledger.core.registry import RegistryFold
from ledger.core.registry_draft import RegistryDraft
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.wire import RegistryCommand
from ledger.core.writer import Writer

NOON = Micros(1_800_000_000_000_000)
MAIL = Register("c1", "mail", "mail", "on_demand", "post", 1, "h1", data=Raw(b'{"a":1}'), options=Options(attempts=2))


def opened() -> RegistryFold:
    fold = RegistryFold()
    header = chain.Header(1, "registry", 0, 1, "", 0, NOWHERE, None)
    fold.feed(wire.encode_commit(header, [wire.encode(outcome.Opened("log", 4))]), 0)
    return fold


def drafted(fold: RegistryFold, *commands: RegistryCommand) -> RegistryDraft:
    draft = RegistryDraft(fold, NOON)
    for nth, command in enumerate(commands):
        assert draft.add(Delivered(position(fold.head.next_offset, nth), NOON, command)) == "added"
    return draft


def folded(fold: RegistryFold, *commands: RegistryCommand) -> bytes:
    record = drafted(fold, *commands).record()
    fold.feed(record, fold.head.next_offset)
    return record


def user_job(number: int, cron: str = "0 6 * * *", **more: object) -> ScheduleJob:
    command = ScheduleJob(f"s{number}{cron}", "mail", f"{number} {cron}", ScheduleSpec(cron=(cron,)), name=f"n{number}", tenant="acme")
    return structs.replace(command, data=Raw(b'{"user":%d}' % number), **more)


def eventful() -> RegistryFold:
    """Jobs of every kind and state, a second version, pauses that stand, ended and were lifted, refusals, two manifests."""
    fold = opened()
    tick = Register("c2", "tick", "tick", "system", "default", 1, "t1", "job", schedule=ScheduleSpec(every_ms=60_000, jitter_ms=5))
    folded(fold, MAIL, tick, ApplyManifest("c3", "m1", (("tick", 1, "t1"),)))
    folded(fold, *(user_job(number) for number in range(5)), user_job(3, "0 7 * * *"), ScheduleJob("bad", "nobody", "h", ScheduleSpec()))
    folded(fold, Retire("c4", next(job_id for job_id in fold.registry.jobs if job_id.startswith("mail~"))))
    folded(
        fold, Pause("c5", "tenant", "acme", "why"), Pause("c6", "job", "tick"), Pause("c7", "queue", "post"), ApplyManifest("c8", "m2", ())
    )
    folded(fold, Resume("c9", "job", "tick", reason="well"), Resume("c10", "queue", "post"))
    return fold


def state_of(fold: RegistryFold) -> tuple[object, ...]:
    return fold.registry, fold.decided, fold.head, fold.log_id, fold.partitions, fold.epoch


def sealed(fold: RegistryFold) -> tuple[sealing.Seal, dict[int, bytes]]:
    frozen = registry_snapshot.FrozenRegistry(fold)
    chunks = list(frozen.chunks())
    seal = sealing.read_final(frozen.final(len(chunks), sealing.digest_of(chunks)))
    assert seal is not None
    return seal, dict(enumerate(chunks))


def test_a_snapshot_and_what_follows_it_is_the_same_state() -> None:
    fold = eventful()
    restored = RegistryFold()
    known = restored.registry  # as actors hold it
    assert registry_snapshot.restore(restored, *sealed(fold))
    assert state_of(restored) == state_of(fold)
    record = folded(fold, user_job(7), user_job(0, "0 8 * * *"))
    restored.feed(record, restored.head.next_offset)
    assert state_of(restored) == state_of(fold) and restored.registry is known


def test_many_jobs_are_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BYTES_PER_CHUNK", 1500)
    fold, restored = eventful(), RegistryFold()
    seal, chunks = sealed(fold)
    assert len(chunks) > 5 and registry_snapshot.restore(restored, seal, chunks)
    assert state_of(restored) == state_of(fold) and list(restored.registry.jobs) == list(fold.registry.jobs)


def test_a_job_with_many_large_versions_and_a_name_with_many_pauses_are_in_several_chunks() -> None:
    fold, restored = eventful(), RegistryFold()
    for number in range(1, 8):
        folded(fold, Register("c", "big", "big", "on_demand", "default", number, f"h{number}", data=Raw(b'"%b"' % (b"x" * 180_000))))
    for nth in range(600):
        folded(fold, Pause(f"p{nth}", "queue", "post", "\N{DROMEDARY CAMEL}" * 200, "\N{DROMEDARY CAMEL}" * 200))
        folded(fold, Resume(f"r{nth}", "queue", "post"))
    seal, chunks = sealed(fold)
    assert max(map(len, chunks.values())) <= wire.LARGEST_RECORD
    assert registry_snapshot.restore(restored, seal, chunks)
    assert state_of(restored) == state_of(fold)


def test_one_with_a_missing_or_an_altered_chunk_changes_nothing() -> None:
    seal, chunks = sealed(eventful())
    for damaged in ({}, {0: chunks[0].replace(b"acme", b"acne")}):
        fresh = RegistryFold()
        assert not registry_snapshot.restore(fresh, seal, damaged)
        assert state_of(fresh) == state_of(RegistryFold())


def test_no_body_holds_on_to_the_record_it_came_in() -> None:
    fold, restored = eventful(), RegistryFold()
    assert registry_snapshot.restore(restored, *sealed(fold))
    for registry in (fold.registry, restored.registry):
        bodies = [version.data for job in registry.jobs.values() for version in job.versions]
        assert len(bodies) == 8 and all(body.copy() is body for body in bodies)  # a view would be copied


def test_of_several_versions_each_is_found() -> None:
    fold = opened()
    folded(fold, MAIL, *(user_job(1, f"0 {hour} * * *") for hour in range(6)))
    (job,) = [job for job in fold.registry.jobs.values() if job.kind == "scheduled"]
    assert [number for number in range(9) if (found := job.version(number)) and found.number == number] == [1, 2, 3, 4, 5, 6]
    assert job.newest == job.current == job.versions[-1]
    assert job.newest.schedule is not None and job.newest.schedule.cron == ("0 5 * * *",)


# Several feed one fold


def test_an_append_that_was_folded_by_a_follower_before_its_ack_counts_once() -> None:
    fold = opened()
    writer, draft = Writer(fold), drafted(fold, MAIL)
    record = draft.record()
    fold.feed(record, 1)
    assert writer.confirm(draft, record, 1)
    assert fold.head.seq == 2 and list(fold.registry.jobs) == ["mail"] and not writer.inbox


def test_a_draft_of_before_somebody_else_appended_is_not_confirmed_at_the_offset_that_is_next_now() -> None:
    fold = opened()
    writer, draft = Writer(fold), drafted(fold, MAIL)
    folded(fold, Pause("p", "queue", "post"))
    assert not writer.confirm(draft, draft.record(), 2)
    assert fold.head.seq == 2 and not fold.registry.jobs
    assert [one.item for one in writer.inbox] == [MAIL]
