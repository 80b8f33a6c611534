"""The specification of the registry: registering, versions that cannot drift, manifests that cannot be undone by an old node."""

import pytest
from msgspec import structs

from ledger.core import definition, registering, wire
from ledger.core.chain import Header
from ledger.core.definition import ApplyManifest, Event, ManifestApplied, Register, Registered, Registry, Versioned
from ledger.core.draft import Delivered
from ledger.core.ids import NOWHERE, Micros, Position, partition_for
from ledger.core.outcome import Opened, Rejected
from ledger.core.refusal import Refused
from ledger.core.registry import RegistryFold
from ledger.core.registry_draft import RegistryDraft
from ledger.core.schedule_spec import ScheduleSpec

CARTS = Register("c1", "clean-carts", "clean-carts", "system", "default", 1, "h1", "job", schedule=ScheduleSpec(every_ms=10_000))
MAIL = Register("c2", "send-mail", "send-mail", "on_demand", "mail", 1, "m1")


def registry(*commands: definition.Command) -> Registry:
    state = Registry()
    for seq, command in enumerate(commands, 1):
        apply(state, registering.decide(command, state), seq)
    return state


def apply(state: Registry, events: list[Event], seq: int) -> None:
    for event in events:
        definition.evolve(state, event, Micros(seq))


def manifest(digest: str, *jobs: tuple[str, int, str], rollback: bool = False) -> ApplyManifest:
    return ApplyManifest(f"m-{digest}", digest, jobs, rollback)


def refusal(command: definition.Command, state: Registry) -> str:
    with pytest.raises(Refused) as refused:
        registering.decide(command, state)
    return refused.value.reason


def test_a_job_without_a_manifest_is_in_force_at_once() -> None:
    assert registering.decide(MAIL, Registry()) == [
        Registered("send-mail", "send-mail", "on_demand", "mail"),
        Versioned("send-mail", 1, "m1", True),
    ]
    job = registry(MAIL).jobs["send-mail"]
    assert (job.state, job.current_version) == ("active", 1)


def test_the_home_of_a_job_is_the_partition_of_what_it_excludes() -> None:
    state = Registry(partitions=16)
    apply(state, registering.decide(CARTS, state), 1)
    assert state.jobs["clean-carts"].home == partition_for("job:clean-carts", 16)


def test_a_system_job_is_in_force_with_the_manifest_that_lists_it() -> None:
    state = registry(CARTS)
    assert state.jobs["clean-carts"].state == "declared"
    assert registering.decide(manifest("a", ("clean-carts", 1, "h1")), state) == [ManifestApplied("a", (("clean-carts", 1),), ())]


def test_the_same_again_changes_nothing() -> None:
    listed = manifest("a", ("clean-carts", 1, "h1"))
    state = registry(CARTS, MAIL, listed)
    assert [registering.decide(one, state) for one in (CARTS, MAIL, listed)] == [[], [], []]


def test_another_body_under_the_same_number_is_drift() -> None:
    assert refusal(structs.replace(CARTS, content_hash="h2"), registry(CARTS)) == "drift"


def test_a_lower_number_is_stale_and_ignored() -> None:
    state = registry(structs.replace(MAIL, job_version=3), structs.replace(MAIL, command_id="c9", job_version=4, content_hash="m4"))
    assert registering.decide(structs.replace(MAIL, job_version=2, content_hash="m2"), state) == []


def test_scope_queue_and_kind_belong_to_the_job_for_its_life() -> None:
    state = registry(CARTS)
    assert refusal(structs.replace(CARTS, job_version=2, exclusive_scope="none"), state) == "scope_changed"
    assert refusal(structs.replace(CARTS, job_version=2, queue="other"), state) == "identity_changed"


def test_a_job_that_is_not_listed_any_more_is_retired_and_may_come_back() -> None:
    with_carts, without = manifest("a", ("clean-carts", 1, "h1")), manifest("b")
    state = registry(CARTS, with_carts)
    assert registering.decide(without, state) == [ManifestApplied("b", (), ("clean-carts",))]
    apply(state, registering.decide(without, state), 9)
    assert state.jobs["clean-carts"].state == "retired"
    assert registering.decide(manifest("c", ("clean-carts", 1, "h1")), state) == [ManifestApplied("c", (("clean-carts", 1),), ())]


def test_an_old_node_cannot_undo_a_newer_manifest_but_a_rollback_can() -> None:
    old, new = manifest("a", ("clean-carts", 1, "h1")), manifest("b")
    state = registry(CARTS, old, new)
    assert registering.decide(old, state) == []
    back = structs.replace(old, rollback=True)
    apply(state, registering.decide(back, state), 9)
    assert state.jobs["clean-carts"].state == "active"
    assert registering.decide(back, state) == []


def test_a_new_manifest_with_a_lower_version_than_the_one_in_force_is_stale_unless_it_is_meant() -> None:
    """Nobody has seen this set of jobs, but of one of them it names what was replaced: a node with an older configuration."""
    first, second = manifest("a", ("clean-carts", 1, "h1")), manifest("b", ("clean-carts", 2, "h2"))
    edited, other = structs.replace(CARTS, job_version=2, content_hash="h2"), structs.replace(CARTS, job_id="other", content_hash="o1")
    state = registry(CARTS, first, edited, second, other)
    older = manifest("c", ("clean-carts", 1, "h1"), ("other", 1, "o1"))
    assert registering.decide(older, state) == []
    back = structs.replace(older, rollback=True)
    assert registering.decide(back, state) == [ManifestApplied("c", (("clean-carts", 1), ("other", 1)), ())]
    apply(state, registering.decide(back, state), 9)
    assert registering.decide(manifest("d", ("clean-carts", 1, "h1")), state) == [ManifestApplied("d", (), ("other",))]
    apply(state, registering.decide(manifest("e", ("clean-carts", 2, "h2")), state), 10)
    assert state.jobs["clean-carts"].current_version == 2, "forward again needs no word"


def test_a_job_that_was_retired_does_not_come_back_with_less_than_it_had() -> None:
    edited = structs.replace(CARTS, job_version=2, content_hash="h2")
    state = registry(CARTS, edited, manifest("a", ("clean-carts", 2, "h2")), manifest("b"))
    assert registering.decide(manifest("c", ("clean-carts", 1, "h1")), state) == []
    assert registering.decide(manifest("d", ("clean-carts", 2, "h2")), state) == [ManifestApplied("d", (("clean-carts", 2),), ())]


def test_what_the_tables_cannot_hold_is_refused() -> None:
    for wild in ({"job_version": -1}, {"job_version": 10**12}, {"queue": ""}, {"tenant": "t" * 201}):
        assert refusal(structs.replace(CARTS, **wild), Registry()) == "invalid"  # type: ignore[arg-type]  # fields by name


def test_a_manifest_lists_only_what_is_registered() -> None:
    assert refusal(manifest("a", ("clean-carts", 2, "h2")), registry(CARTS)) == "unknown_version"
    assert refusal(manifest("a", ("send-mail", 1, "m1")), registry(MAIL)) == "unknown_version"


def test_a_schedule_that_no_engine_reads_is_refused_whoever_sends_it() -> None:
    fold = RegistryFold()
    fold.feed(wire.encode_commit(Header(1, "registry", 0, 1, "", 0, NOWHERE, None), [wire.encode(Opened("log", 1))]), 0)
    draft = RegistryDraft(fold, Micros(1))
    nonsense = structs.replace(CARTS, schedule=ScheduleSpec(cron=("61 * * * *",)))
    assert draft.add(Delivered(Position(0, 0), Micros(1), nonsense)) == "added"
    (rejected,) = draft.events
    assert isinstance(rejected, Rejected) and rejected.reason == "invalid_schedule"
    assert draft.add(Delivered(Position(0, 1), Micros(1), nonsense)) == "added"
    assert draft.events == [rejected], "the repeat is answered and leaves nothing"
