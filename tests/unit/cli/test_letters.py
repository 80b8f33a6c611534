"""`dead-letters redrive`: several as one act."""

from ledger.client.letters import DeadLetter
from ledger.core.letters import Fate
from tests.unit.cli.cli_fakes import World
from tests.unit.cli.conftest import Call
from tests.unit.client.client_rows import AT

ONE = b'{"type":"execution.submit.v1","command_id":"late","job_id":"greet"}'


def letter(number: int, name: str, fate: Fate | None = None, raw: bytes = ONE) -> DeadLetter:
    return DeadLetter(number, name, AT, "unknown_type", "", len(raw), raw, is_whole=True, fate=fate)


def test_where_one_of_several_was_refused_it_is_exit_4_and_said(call: Call, world: World) -> None:
    world.letters += [letter(1, "events/0/7/0"), letter(2, "events/0/8/0")]
    world.refused = ("redrive:events.0.8.0",)
    ended = call("dead-letters", "redrive", "1", "2", "-o", "json")
    assert (ended.code, "1 of 2 were refused" in ended.stderr) == (4, True)
    assert isinstance(ended.json, dict) and (ended.json["done"], ended.json["refused"]) == (1, 1)
