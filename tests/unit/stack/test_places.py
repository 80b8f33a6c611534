"""Folders, ports, addresses and jars: where things are, and whether they are whole."""

import hashlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.stack import Stack, jars
from ledger.stack.failure import FolderBusy, ServerSilent, StackFailed
from ledger.stack.folder_lock import holder, take
from ledger.stack.given import Given, check_given, host_and_port, shown
from ledger.stack.layout import Layout, check_space, write_private
from ledger.stack.messages import Ready, Up
from ledger.stack.offspring import Offspring, lean_environment
from ledger.stack.ports import Ports
from ledger.stack.running import Running


def test_the_cache_is_where_it_is_told_else_the_user_s_else_beside_the_data(tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    assert jars.cache_folder({"JOBLEDGER_CACHE": str(tmp_path / "c"), "HOME": str(home)}, data) == tmp_path / "c"
    assert jars.cache_folder({"XDG_CACHE_HOME": "/x"}, data) == Path("/x/jobledger")
    assert jars.cache_folder({"HOME": str(home)}, data).is_relative_to(home)
    assert jars.cache_folder({"HOME": str(tmp_path / "absent")}, data) == data / "cache"
    assert jars.cache_folder({}, data) == data / "cache"


def test_every_jar_has_a_sha_256() -> None:
    assert len(jars.wanted()) == 47
    assert all(len(digest) == 64 and name.endswith(".jar") for name, digest in jars.wanted().items())


ONE_JAR = {"a.jar": hashlib.sha256(b"bytes").hexdigest()}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """One small jar, whole."""
    folder = tmp_path / jars.ENVIRONMENTS / "hash"
    (folder / "jars").mkdir(parents=True)
    (folder / "jars" / "a.jar").write_bytes(b"bytes")
    (folder / jars.FINISHED).touch()
    return folder


def test_a_whole_environment_is_found(environment: Path, tmp_path: Path) -> None:
    assert jars.find(tmp_path, ONE_JAR) == (environment / "jars" / "a.jar",)


def test_a_jar_cut_short_is_not_whole(environment: Path, tmp_path: Path) -> None:
    (environment / "jars" / "a.jar").write_bytes(b"byte")
    assert jars.find(tmp_path, ONE_JAR) == ()


def test_a_half_built_environment_is_not_whole(environment: Path, tmp_path: Path) -> None:
    (environment / jars.FINISHED).unlink()
    assert jars.find(tmp_path, ONE_JAR) == ()


def test_a_jar_too_few_or_too_many_is_not_whole(environment: Path, tmp_path: Path) -> None:
    (environment / "jars" / "b.jar").touch()
    assert jars.find(tmp_path, ONE_JAR) == ()
    (environment / "jars" / "b.jar").unlink()
    (environment / "jars" / "a.jar").unlink()
    assert jars.find(tmp_path, ONE_JAR) == ()


async def test_jars_that_cannot_be_read_are_named(environment: Path, tmp_path: Path) -> None:
    (environment / "jars" / "a.jar").unlink()
    for name in jars.wanted():
        (environment / "jars" / name).mkdir()  # not even root reads a folder
    with pytest.raises(StackFailed, match=f"in the cache {tmp_path} cannot be read: {environment}/jars/.*jar: .* JOBLEDGER_CACHE"):
        await jars.Jars(tmp_path, print).ensure(Offspring(0), tmp_path)


def test_ports_are_kept_and_a_busy_one_is_replaced_aloud(tmp_path: Path) -> None:
    said: list[str] = []
    kept = Ports(tmp_path / "ports.json", said.append).settle("valkey")
    assert Ports(tmp_path / "ports.json", said.append).settle("valkey") == kept
    assert said == []
    with socket.create_server(("127.0.0.1", kept)):
        other = Ports(tmp_path / "ports.json", said.append).settle("valkey")
    assert other != kept
    assert said == [f"port {kept} of valkey is busy, using {other}"]


def test_a_disk_too_small_is_refused_with_the_folder_s_name(tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match=f"The disk of {tmp_path} has .* MB free and the stack needs .* MB"):
        check_space(tmp_path, 2**60)


def test_private_means_private(tmp_path: Path) -> None:
    write_private(tmp_path / "password", b"x")
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600


def test_servers_get_no_settings_and_no_secrets_of_ours() -> None:
    assert lean_environment({"PATH": "/bin", "JOBLEDGER_DATABASE__URL": "secret", "AWS_KEY": "secret"}) == {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def test_a_folder_held_by_no_keeper_is_refused_after_a_while(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    lock = take(layout)
    assert holder(layout) is not None
    with pytest.raises(FolderBusy, match="of an earlier stack"):
        take(layout, dying=0.0, ending=0.05)
    os.close(lock)
    assert holder(layout) is None


@pytest.mark.parametrize("asks", [take, holder])
def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path, asks: Callable[[Layout], object]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackFailed, match=f"cannot keep its data in {tmp_path}/file/x: Not a directory. Name another folder with --dir"):
        asks(Layout(tmp_path / "file" / "x"))


def test_a_folder_whose_name_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match="that name is no UTF-8"):
        Stack.start(tmp_path / os.fsdecode(b"a\xff"))


def test_what_is_given_is_not_started() -> None:
    assert Given().missing() == ("kafka", "valkey", "postgres")
    assert Given(kafka="a:1", database="postgresql://b").missing() == ("valkey",)


def test_of_a_stack_without_a_server_only_the_others_are_named(tmp_path: Path) -> None:
    running = Running(tmp_path, Ready(1, (Up("valkey", "9", 2, "redis://127.0.0.1:1/0", 0.1),), 0.1))
    assert running.environment() == {"JOBLEDGER_REDIS__URL": "redis://127.0.0.1:1/0"}
    with pytest.raises(StackFailed, match=f"The stack in {tmp_path} runs without kafka: .* an address of its own"):
        running.kafka  # noqa: B018  # asking is the test


def test_an_address_isshown_without_its_password() -> None:
    assert shown("postgresql://me:secret@db.example:5433/x") == "db.example:5433"


def test_an_address_of_ipv6_may_stand_without_brackets_where_no_port_is_named() -> None:
    assert host_and_port("::1", 9092) == ("::1", 9092) == host_and_port("[::1]", 9092)


def test_a_given_server_that_is_silent_is_named_by_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ServerSilent, match=f"Redis at 127.0.0.1:{port} does not answer"):
            check_given(Given(redis=f"redis://:secret@127.0.0.1:{port}/0"), patience=0.2)
