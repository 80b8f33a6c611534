"""Dead letters: sent again once, as they are or corrected, or discarded. Each act has one outcome, and its repeat is quiet."""

import pytest
from msgspec import Raw, structs

from ledger.core import letters, request, wire
from ledger.core.draft import Delivered, Resend
from ledger.core.ids import Micros, Position
from ledger.core.letters import Discarded, Redriven, Source, source_of
from ledger.core.outcome import Accepted, Answer, Forwarded
from ledger.core.refusal import Refused
from ledger.core.reread import commands_in
from tests.unit.control.home import Home
from tests.unit.control.test_acts import reason

LETTER = "events/0/17/2"
SUBMIT = request.Submit("s-1", "beat", Raw(b'{"n":1}'))


def redrive(home: Home, **more: object) -> request.Redrive:
    command = request.Redrive(home.name(), LETTER, Raw(wire.encode(SUBMIT)), "ada", "the client is mended", answer="me")
    return structs.replace(command, **more)


def discard(home: Home, letter: str = LETTER) -> request.Discard:
    return request.Discard(home.name(), letter, "ada", "nonsense", answer="me")


def resent(home: Home, command: request.Redrive) -> list[Resend]:
    """What is appended for it before its commit."""
    draft = home.draft()
    draft.add(Delivered(Position(home.commands, 0), Micros(home.now), command))
    return draft.effects.resends


def verdicts(home: Home) -> list[object]:
    return [one.outcome for one in home.answers if isinstance(one, Answer)]


def test_a_redrive_appends_what_the_letter_says_and_says_who_wanted_it_and_why() -> None:
    home = Home()
    command = redrive(home)
    assert resent(home, command) == [Resend("commands", 0, b"[" + wire.encode(SUBMIT) + b"]")]
    assert home.send(command) == [
        Redriven(LETTER, ("s-1",), "ada", "the client is mended"),
        Accepted(command.command_id, "letter.redrive.v1", "applied", None, None, "ada"),
    ]
    assert verdicts(home) == ["applied"]


@pytest.mark.parametrize("from_snapshot", [False, True])
def test_a_redrive_twice_is_not_sent_twice(from_snapshot: bool) -> None:
    home = Home()
    command = redrive(home)
    home.send(command)
    home.restart(from_snapshot=from_snapshot)
    assert resent(home, command) == []
    assert home.send(command) == []
    other = redrive(home, commands=Raw(wire.encode(structs.replace(SUBMIT, command_id="s-2"))))
    assert resent(home, other) == []
    (again,) = home.send(other)
    assert isinstance(again, Accepted) and again.outcome == "unchanged"


def test_what_still_cannot_be_read_is_refused_and_may_be_corrected_later() -> None:
    home = Home()
    broken = redrive(home, commands=Raw(b'{"type":"execution.submit.v9"}'))
    assert resent(home, broken) == []
    assert reason(home.send(broken)) == "unreadable"
    assert isinstance(home.send(redrive(home, command_id=broken.command_id))[0], Redriven)


def test_what_is_discarded_is_not_redriven_and_the_other_way_round() -> None:
    home = Home()
    command = discard(home)
    assert home.send(command)[0] == Discarded(LETTER, "ada", "nonsense")
    assert home.send(command) == []
    (again,) = home.send(discard(home))
    assert isinstance(again, Accepted) and again.outcome == "unchanged"
    assert reason(home.send(redrive(home))) == "discarded"
    home.send(redrive(home, letter="events/0/18/0"))
    assert reason(home.send(discard(home, "events/0/18/0"))) == "redriven"


def test_a_letter_of_the_registry_goes_back_to_the_registry() -> None:
    home = Home()
    pause = Raw(b'{"type":"pause.begin.v1","command_id":"p","scope":"tenant","name":"acme"}')
    (again,) = resent(home, redrive(home, letter="registry/0/4/0", commands=pause))
    assert (again.topic, again.partition) == ("registry-commands", 0)
    assert reason(home.send(redrive(home, letter="registry/0/4/0"))) == "unreadable"  # a submit is none of its commands


def test_a_letter_of_another_partition_is_sent_on() -> None:
    home = Home()
    home.partition.partitions = 4
    command = redrive(home, letter="events/3/1/0")
    assert home.send(command) == [Forwarded(command.command_id, "letter.redrive.v1", 3)]


@pytest.mark.parametrize("letter", ["events/9/1/0", "registry/1/1/0", "work/0/1/0", "events/0/1", "events/0/-1/0", f"events/0/{2**63}/0"])
def test_what_names_no_letter_is_refused(letter: str) -> None:
    home = Home()
    assert reason(home.send(redrive(home, letter=letter))) == "unknown_letter"
    assert reason(home.send(discard(home, letter))) == "unknown_letter"


def test_a_redrive_may_be_one_of_many() -> None:
    home = Home()
    assert reason(home.send(redrive(home, bulk_id="k"))) == "no_bulk"
    home.send(request.BeginBulk(home.name(), "k", "redrive", 1))
    *_, accepted = home.send(redrive(home, bulk_id="k"))
    assert isinstance(accepted, Accepted) and (accepted.outcome, accepted.bulk_id) == ("applied", "k")


def test_a_name_is_read_as_it_was_made() -> None:
    source = Source("events", 3, Position(17, 4))
    assert (source.name, source_of(source.name), source.home) == ("events/3/17/4", source, 3)
    assert wire.COMMAND_ID.fullmatch(letters.command_of("redrive", source.name))


def test_a_crowd_is_not_redriven() -> None:
    record = wire.encode_many([structs.replace(SUBMIT, command_id=f"s-{number}") for number in range(101)])
    with pytest.raises(Refused, match="too_many"):
        commands_in(record, Source("events", 0, Position(0, 0)))
