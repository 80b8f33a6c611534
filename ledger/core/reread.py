"""The bytes of a dead letter, read once more: by another release, or after somebody corrected them."""

from typing import Final

from ledger.core import wire
from ledger.core.letters import Source
from ledger.core.refusal import Refused, Undecodable

MOST_REDRIVEN: Final = 100  # commands of one letter


def commands_in(record: bytes, source: Source) -> list[wire.Command | wire.RegistryCommand]:
    """Raises `Refused` while they cannot be read."""
    commands: list[wire.Command | wire.RegistryCommand] = []
    for item in wire.decode_commands(record, registry=source.log == "registry"):
        if isinstance(item, Undecodable):
            raise Refused(
                "unreadable",
                f"{source.name} cannot be read ({item.reason}: {item.detail}): correct it, or upgrade what reads it",
            )
        commands.append(item)
    if len(commands) > MOST_REDRIVEN:
        raise Refused("too_many", f"{source.name} has {len(commands)} commands, at most {MOST_REDRIVEN} are redriven: send them anew")
    return commands
