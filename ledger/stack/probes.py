"""Does something answer there? The smallest question each server understands, without a driver and without a password."""

import asyncio

PATIENCE = 1.0
API_VERSIONS = bytes.fromhex("0000000d00120000000000010003") + b"chk"
POSTGRES_HELLO = b"user\0jobledger\0database\0postgres\0\0"
STARTING_UP = b"57P03"


async def _ask(host: str, port: int, question: bytes) -> bytes:
    """The first piece of the answer; empty when nobody listens, or when nothing comes in time."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(question)
                return await reader.read(1024)
            finally:
                writer.close()
    except (OSError, UnicodeError):  # TimeoutError is one; a name that cannot be one of a host is the other
        return b""


async def kafka_answers(host: str, port: int) -> bool:
    """The broker opens its port long before it serves; an answer to ApiVersions means that it does."""
    return b"\x00\x00\x00\x01" in (await _ask(host, port, API_VERSIONS))[4:8]


async def valkey_answers(host: str, port: int) -> bool:
    """-NOAUTH is an answer too; -LOADING is not: the append-only file is still being read."""
    answer = await _ask(host, port, b"PING\r\n")
    return answer.startswith((b"+PONG", b"-NOAUTH"))


async def postgres_answers(host: str, port: int) -> bool:
    """A request for the password, or any refusal but "the database system is starting up"."""
    hello = (8 + len(POSTGRES_HELLO)).to_bytes(4, "big") + (196608).to_bytes(4, "big") + POSTGRES_HELLO
    answer = await _ask(host, port, hello)
    return answer.startswith(b"R") or (answer.startswith(b"E") and STARTING_UP not in answer)


async def port_opens(host: str, port: int) -> bool:
    """All that can be asked of a server behind TLS without its certificates."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
    except OSError:
        return False
