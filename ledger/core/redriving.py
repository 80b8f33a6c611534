"""Decisions on dead letters: redrive and discard. Source: docs/decisions/0017."""

from ledger.core import letters, request, wire
from ledger.core.draft import Resend
from ledger.core.letters import Discarded, Redriven, Source
from ledger.core.partition_view import PartitionView
from ledger.core.refusal import Refused
from ledger.core.reread import commands_in
from ledger.core.wire import Event


def home_of(view: PartitionView, command: request.Redrive | request.Discard) -> Source:
    """Where its letter came from. Raises `Refused`."""
    source = letters.source_of(command.letter)
    if source is None or source.home >= view.partition.partitions or (source.log == "registry" and source.partition):
        raise Refused("unknown_letter", f"{command.letter} is no dead letter of this log: `jobledger dead-letters list` shows them")
    return source


def redrive(view: PartitionView, command: request.Redrive, source: Source) -> list[Event]:
    """What it says is appended before this is: should that come to nothing, it is appended again, and its repeat is known by its ids."""
    match view.letter_of(command.letter):
        case "redriven":
            return []
        case "discarded":
            raise Refused("discarded", f"{command.letter} was discarded: what it was to do has to be asked for anew")
    commands = commands_in(bytes(command.commands), source)
    topic = "registry-commands" if source.log == "registry" else "commands"
    view.effects.resends.append(Resend(topic, source.partition, wire.encode_many(commands)))
    names = tuple(one.command_id for one in commands if not isinstance(one, wire.Unnamed))
    return [Redriven(command.letter, names, command.actor, command.reason)]


def discard(view: PartitionView, command: request.Discard) -> list[Event]:
    match view.letter_of(command.letter):
        case "discarded":
            return []
        case "redriven":
            raise Refused("redriven", f"{command.letter} was redriven: cancel what it asked for")
    return [Discarded(command.letter, command.actor, command.reason)]
