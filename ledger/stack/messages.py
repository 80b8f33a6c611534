"""What the parent and the keeper say to each other: one JSON object a line, on the keeper's stdin and stdout."""

from typing import Literal

import msgspec

ServerName = Literal["kafka", "valkey", "postgres"]
SERVER_NAMES: tuple[ServerName, ...] = ("kafka", "valkey", "postgres")


class Request(msgspec.Struct, frozen=True):
    """What the keeper is started with (its only argument). `attached`: end when stdin ends. `supervise`: a dead server ends the stack."""

    directory: str
    cache: str
    servers: tuple[ServerName, ...] = SERVER_NAMES
    attached: bool = True
    supervise: bool = True
    fast: bool = False


class Kill(msgspec.Struct, frozen=True, tag="kill"):
    server: ServerName


class Restart(msgspec.Struct, frozen=True, tag="restart"):
    server: ServerName
    empty: bool = False


Act = Kill | Restart


class Note(msgspec.Struct, frozen=True, tag="note"):
    text: str


class Up(msgspec.Struct, frozen=True, tag="up"):
    """A server that answers. `url` goes without the password of Postgres; `seconds` runs from the keeper's first step for this server."""

    name: ServerName
    version: str
    pid: int
    url: str
    seconds: float


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Every server answers. The same object is kept in `stack.json` while the stack runs."""

    keeper: int
    servers: tuple[Up, ...]
    seconds: float


class Dead(msgspec.Struct, frozen=True, tag="dead"):
    """Answer to `Kill`; also said unasked (and after any answer) when an unsupervised server ends by itself."""

    server: ServerName
    exit_code: int
    asked: bool


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The stack ends (or never was), and why."""

    message: str
    exit_code: int


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """An act that could not be done; the stack goes on."""

    message: str


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """The last line: nothing is left. `killed` names the servers that did not end in time."""

    exit_codes: dict[str, int]
    killed: tuple[str, ...]
    seconds: float


Message = Note | Up | Ready | Dead | Failed | Refusal | Stopped
