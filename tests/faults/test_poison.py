"""What cannot be read, or does not belong there, on `commands`: one dead letter or one refusal each, and everything else is done."""

from msgspec import structs

from ledger.core import definition, wire
from ledger.core.ids import partition_for
from ledger.core.request import Submit
from ledger.kafka.connect import new_producer
from ledger.submitting.naming import fresh_command_id
from tests.faults.audit import audit, dead_letters
from tests.faults.harness import Cluster
from tests.faults.load import Load

HERE = 1  # the partition that gets it all


def submit_at_home(partition: int, partitions: int) -> Submit:
    """A good submit whose id belongs to this partition."""
    while partition_for(name := fresh_command_id(), partitions) != partition:
        pass
    return Submit(name, "probe")


async def test_poison_costs_one_dead_letter_or_refusal_each(cluster: Cluster) -> None:
    await cluster.begin()
    partitions = cluster.settings.partitions

    def good() -> bytes:
        return wire.encode(submit_at_home(HERE, partitions))

    elsewhere = wire.encode(submit_at_home(HERE + 1, partitions))
    register = definition.Register(fresh_command_id(), "intruder", "probe", "on_demand", "default", 1, "0" * 64)
    unknown_job = wire.encode(structs.replace(submit_at_home(HERE, partitions), job_id="nobody-declared-me"))
    poison: list[tuple[bytes | None, set[int]]] = [  # the record, and which of its items become dead letters
        (b"", {0}),
        (None, {0}),
        (good()[:-20], {0}),
        (b"\xff\xfe\x00", {0}),
        (b"[]", {0}),
        (b"null", {0}),
        (b'{"type":"execution.submit.v1","command_id":17,"job_id":"probe"}', {0}),
        (b'{"type":"execution.submit.v1","command_id":"x1","job_id":"probe","surprise":1}', {0}),
        (b'{"type":"execution.explode.v1","command_id":"x2"}', {0}),
        (good().replace(b"execution.submit.v1", b"execution.submit.v99"), {0}),
        (wire.encode(structs.replace(submit_at_home(HERE, partitions), reason="x" * (wire.LARGEST_COMMAND + 1))), {0}),
        (b"[" + b",".join((good(), b'{"type":"nonsense"}', good(), b"[[", good())) + b"]", {0}),
        (b"[" + b",".join((good(), b'{"type":"nonsense"}', good())) + b"]", {1}),
        (wire.encode(register), {0}),
        (elsewhere, set()),
        (unknown_job, set()),
        (good(), set()),
    ]
    letters: set[str] = set()
    topic = cluster.settings.topic("commands")
    producer = new_producer(cluster.settings.kafka.bootstrap)
    await producer.start()
    try:
        for record, items in poison:
            offset = (await producer.send_and_wait(topic, record, key=b"anyone", partition=HERE)).offset
            letters |= {f"{topic}/{HERE}/{offset}/{nth}" for nth in items}
        misplaced = await producer.send_and_wait(cluster.settings.topic("registry-commands"), good(), partition=0)
        letters.add(f"{cluster.settings.topic('registry-commands')}/0/{misplaced.offset}/0")
    finally:
        await producer.stop()

    load = Load(cluster)
    await load.submit(100)
    done = load.count + 4  # two around the bad item, the one that was forwarded, the last one
    await cluster.all_finished(done)
    cluster.processes.kill("control-0")
    await load.submit(50)
    await cluster.all_finished(done + 50)

    found = await audit(cluster)
    kept = await dead_letters(cluster)
    assert sorted(one.source for one in kept) == sorted(letters)
    assert len(found.dead_lettered) == len(letters) - 1  # and the registry's own
    assert [one.reason for one in found.rejected] == ["unknown_job"]
    assert found.forwarded == 1
    assert len(found.histories) == done + 50
    print([one.reason for one in kept])
