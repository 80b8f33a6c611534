"""`compose/compose.yaml` runs the same servers with the same settings as the stack from packages."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger.stack import jars, kafka, postgres, valkey

PATH = Path(__file__).parents[3] / "compose" / "compose.yaml"


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load(PATH.read_text("utf-8"))


@pytest.fixture(scope="module")
def services(compose: Any) -> Any:
    return compose["services"]


def test_the_same_kafka_with_the_same_settings(services: Any) -> None:
    environment = services["kafka"]["environment"]
    ours = {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in kafka.properties(9092, 9093).items()}
    elsewhere = {"KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_LOG_DIRS", "KAFKA_HEAP_OPTS"}
    assert {n: v for n, v in environment.items() if n not in elsewhere} == {n: v for n, v in ours.items() if n not in elsewhere}
    assert services["kafka"]["image"] == f"apache/kafka:{jars.KAFKA_VERSION}"
    assert set(environment["KAFKA_HEAP_OPTS"].split()) <= set(kafka.JVM)


def test_the_same_valkey_with_the_same_settings(services: Any) -> None:
    program, *options = services["valkey"]["command"]
    assert program == "valkey-server"
    assert dict(zip(options[::2], options[1::2], strict=True)) == {f"--{name}": value for name, value in valkey.SETTINGS.items()}


def test_the_same_postgres_with_the_same_settings(services: Any) -> None:
    server = services["postgres"]
    program, *options = server["command"]
    own = {"listen_addresses", "unix_socket_directories"}  # inside its container it listens as the image has it
    assert program == "postgres"
    assert options == [word for name, value in postgres.SETTINGS.items() if name not in own for word in ("-c", f"{name}={value}")]
    environment = server["environment"]
    assert (environment["POSTGRES_USER"], environment["POSTGRES_DB"]) == (postgres.USER, postgres.DATABASE)
    assert environment["POSTGRES_HOST_AUTH_METHOD"] == postgres.INITDB[postgres.INITDB.index("-A") + 1]
    same = [word for word in postgres.INITDB if "locale" in word]
    assert environment["POSTGRES_INITDB_ARGS"].split() == ["--encoding=UTF8", *same]
    assert server["stop_signal"] == postgres.Postgres.end_with.name


@pytest.mark.parametrize("name", ["kafka", "valkey", "postgres"])
def test_every_server_is_durable_watched_and_on_the_loopback_only(services: Any, compose: Any, name: str) -> None:
    service = services[name]
    assert service["profiles"] == ["all", name]
    outside = r"127\.0\.0\.1:(?P<variable>\$\{JOBLEDGER_[A-Z]+_PORT:-(?P<port>\d+)\})"
    assert all(re.fullmatch(rf"{outside}:((?P=port)|(?P=variable))", port) for port in service["ports"])
    assert [volume.split(":")[0] for volume in service["volumes"]] == [name] and name in compose["volumes"]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_kafka_is_asked_for_its_health_where_it_sends_its_clients(services: Any) -> None:
    server = services["kafka"]
    advertised = server["environment"]["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://")
    port = advertised.removeprefix("127.0.0.1:")
    assert server["healthcheck"]["test"][-1] == advertised
    assert server["environment"]["KAFKA_LISTENERS"].startswith(f"PLAINTEXT://0.0.0.0:{port},")
    assert server["ports"] == [f"{advertised}:{port}"]


def test_no_password_is_preset(services: Any) -> None:
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "${JOBLEDGER_POSTGRES_PASSWORD:-}"
