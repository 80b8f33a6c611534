"""`dead-letters redrive`: one, several as one act, and an act that broke off."""

import pytest

from ledger.client.letters import DeadLetter
from ledger.core.letters import Fate
from ledger.core.request import BeginBulk, FinishBulk, Redrive
from ledger.core.wire import LARGEST_COMMAND
from tests.unit.cli.cli_fakes import World
from tests.unit.cli.conftest import Call
from tests.unit.client.client_rows import AT

ONE = b'{"type":"execution.submit.v1","command_id":"late","job_id":"greet"}'


def letter(number: int, name: str, fate: Fate | None = None, raw: bytes = ONE) -> DeadLetter:
    return DeadLetter(number, name, AT, "unknown_type", "", len(raw), raw, is_whole=True, fate=fate)


def test_what_stands_there_twice_is_one_letter_and_redriven_once(call: Call, world: World) -> None:
    world.letters += [letter(1, "events/0/7/0"), letter(2, "events/0/7/0"), letter(3, "events/1/8/0")]
    ended = call("dead-letters", "redrive", "1", "2", "3", "-o", "json")
    assert ended.code == 0, ended.stderr
    assert isinstance(ended.json, dict) and (ended.json["planned"], ended.json["done"]) == (2, 2)
    assert [one.letter for one in world.acts if isinstance(one, Redrive)] == ["events/0/7/0", "events/1/8/0"]
    assert [one.planned for one in world.acts if isinstance(one, BeginBulk)] == [1, 1]


def test_where_one_of_several_was_refused_it_is_exit_4_and_said(call: Call, world: World) -> None:
    world.letters += [letter(1, "events/0/7/0"), letter(2, "events/0/8/0")]
    world.refused = ("redrive:events.0.8.0",)
    ended = call("dead-letters", "redrive", "1", "2", "-o", "json")
    assert (ended.code, "1 of 2 were refused" in ended.stderr) == (4, True)
    assert isinstance(ended.json, dict) and (ended.json["done"], ended.json["refused"]) == (1, 1)


def test_one_that_broke_off_sends_what_was_not_sent_and_ends(call: Call, world: World) -> None:
    names = {"events/0/5/0": None, "events/1/6/0": "redriven", "events/1/7/0": None, "events/2/8/0": "discarded", "events/2/9/0": None}
    world.letters += [letter(number, name, fate) for number, (name, fate) in enumerate(names.items())]
    assert "`jobledger dead-letters redrive --resume redrive-1`" in call("bulk", "show", "redrive-1").stderr
    ended = call("dead-letters", "redrive", "--resume", "redrive-1")
    assert ended.code == 0, ended.stderr
    begun = [(one.bulk_id, one.kind, one.planned, one.reason) for one in world.acts if isinstance(one, BeginBulk)]
    assert begun == [("redrive-1", "redrive", 2, "upgraded")] * 2  # partition 0 came to its end
    assert [one.letter for one in world.acts if isinstance(one, Redrive)] == ["events/1/7/0", "events/2/9/0"]
    assert [one.bulk_id for one in world.acts if isinstance(one, FinishBulk)] == ["redrive-1"] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("1", "--resume", "redrive-1"),
        ("1", "2", "--as", "{}"),
        ("--resume", "redrive-1", "--as", "{}"),
        ("--resume", "redrive-1", "--reason", "another"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(call: Call, world: World, arguments: tuple[str, ...]) -> None:
    assert call("dead-letters", "redrive", *arguments).code == 2
    assert world.acts == []


def test_another_kind_of_act_is_not_gone_on_with(call: Call, world: World) -> None:
    ended = call("dead-letters", "redrive", "--resume", "cancel-1")
    assert (ended.code, world.acts) == (4, [])
    assert "`jobledger executions cancel --resume cancel-1`" in ended.stderr


def test_what_is_too_large_for_a_redrive_is_said_of_the_letter(call: Call, world: World) -> None:
    large = b"[%b]" % b",".join([ONE] * (LARGEST_COMMAND // len(ONE)))
    world.letters += [letter(1, "events/0/7/0", raw=large)]
    ended = call("dead-letters", "redrive", "1")
    assert (ended.code, world.acts) == (4, [])
    assert f"dead letter 1 would be sent again as {len(large)} bytes" in ended.stderr
