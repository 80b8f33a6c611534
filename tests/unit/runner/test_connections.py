"""What is packed in C is what redis-py packs."""

import pytest
from redis.asyncio import Connection
from redis.typing import EncodableT

from processors.runner.connections import Packing

COMMANDS: list[tuple[EncodableT, ...]] = [
    ("PING",),
    ("CLIENT SETINFO", "LIB-NAME", "redis-py"),  # two words of the server's in one of the client's
    ("EVAL", "return ''", 2, "jobledger:claim:ä", "", "worker", 90_000, b"\x00\xff", 0.5),
    ("SET", memoryview(b"k"), "x" * 10_000),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_what_is_packed_in_c_is_what_redis_py_packs(command: tuple[EncodableT, ...]) -> None:
    assert b"".join(Packing().pack_command(*command)) == b"".join(bytes(part) for part in Connection().pack_command(*command))
