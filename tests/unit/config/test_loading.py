"""Settings from a file and the environment: what is read, and what a mistake is told."""

import json
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.core.refusal import Misconfigured


def load(tmp_path: Path, text: str, **env: str) -> Settings:
    file = tmp_path / "jobledger.yaml"
    file.write_text(text)
    return load_settings(file, env)


def told(tmp_path: Path, text: str, **env: str) -> str:
    with pytest.raises(Misconfigured) as error:
        load(tmp_path, text, **env)
    return str(error.value)


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Settings()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=f"{tmp_path} is a folder: name the file in it, as {tmp_path}/jobledger.yaml"):
        load_settings(tmp_path, {})


def test_values_of_the_file_are_taken(tmp_path: Path) -> None:
    settings = load(tmp_path, "prefix: demo\npartitions: 8\ndatabase: {schema: demo}\nqueues: {mail: {partitions: 2}}\n")
    assert (settings.prefix, settings.partitions, settings.database.table_schema) == ("demo", 8, "demo")
    assert settings.queues["mail"].partitions == 2


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, "kafka: {bootstrap: 'a:1', replication: 3}", JOBLEDGER_KAFKA__BOOTSTRAP="b:2", JOBLEDGER_PARTITIONS="2")
    assert (settings.kafka.bootstrap, settings.kafka.replication, settings.partitions) == ("b:2", 3, 2)


def test_variables_are_put_in_before_types_are_checked(tmp_path: Path) -> None:
    text = "prefix: ${P}\npartitions: ${N:-4}\nkafka: {bootstrap: '${HOST:-localhost}:${PORT:?which port}'}\n"
    settings = load(tmp_path, text, P="demo", PORT="9092")
    assert (settings.prefix, settings.partitions, settings.kafka.bootstrap) == ("demo", 4, "localhost:9092")


def test_an_escaped_reference_stays(tmp_path: Path) -> None:
    settings = load(tmp_path, "system_jobs: [{name: a, every: 5s, data: {text: 'a $${NAME} b'}}]")
    assert settings.system_jobs[0].data == {"text": "a ${NAME} b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prefix: ${P}", ["jobledger.yaml:1: prefix", "P is not set", "${P:-a default}"]),
        ("prefix: ${P:?say which}", ["say which", "environment variable P"]),
        ("prefix: ${P", ["no closing brace"]),
        ("prefix: ${a b}", ["is none of ${VAR}"]),
        ("prefix: ${a.b}", ["the key a.b is not set", "${a.b:-a default}"]),
        ("prefix: ${a.b:?name it}", ["name it", "key a.b"]),
        ("prefix: ${kafka}\nkafka: {bootstrap: x}", ["no single value"]),
        ("prefix: ${app}\napp: ${prefix}", ["jobledger.yaml:1: prefix", "prefix -> app -> prefix", "made of itself"]),
        ("partitons: 4", ["jobledger.yaml:1: partitons", "did you mean `partitions`?"]),
        ("\nkafka:\n  boostrap: x", ["jobledger.yaml:3: kafka.boostrap", "did you mean `bootstrap`?"]),
        ("kafka: {bootstrap: 'a:b'}", ["jobledger.yaml:1: kafka.bootstrap", "'a:b' is no address of a broker", "'127.0.0.1:9092'"]),
        ("kafka: {bootstrap: 'a:9092,b:99999'}", ["'b:99999' is no address"]),
        ("database: {url: 'localhost:5432/x'}", ["jobledger.yaml:1: database.url", "begin with postgresql://"]),
        ("database: {url: 'postgresql://a:five/x'}", ["database.url", "its port is none"]),
        ("redis: {url: 'localhost:6379'}", ["jobledger.yaml:1: redis.url", "begin with redis://"]),
        ("redis: {lock_urls: 'redis://a,b,redis://c'}", ["redis.lock_urls", "begin with redis://"]),
        ("partitions: many", ["partitions", "whole number, for example 4", "not 'many'"]),
        ("jobs: [{name: a, exclusive: tenat}]", ["jobs[0].exclusive", "'tenat' is not one of", "did you mean 'tenant'?"]),
        ("jobs: [{}]", ["jobs[0]", "has to be given"]),
        ("jobs: [{name: a}, {name: a}]", ["two jobs are called 'a'"]),
        ("jobs: [{name: a}]\nsystem_jobs: [{name: a, every: 5s}]", ["two jobs are called 'a'"]),
        ("system_jobs: [{name: a, every: '15:00'}]", ["system_jobs[0].every", "looks like a time of day"]),
        ("system_jobs: [{name: a, every: 900}]", ["say its unit"]),
        ("system_jobs: [{name: a}]", ["exactly one of cron, every and at"]),
        ("system_jobs: [{name: a, cron: '* * * * x'}]", ["system_jobs[0].cron", "job 'a'", "day of week"]),
        ("system_jobs: [{name: a, every: 5s, data: '${DB_PASSWORD}'}]", ["looks like a secret"]),
        ("a: 1\nb: 2\na: 3", [":3:", "'a' stands here a second time, first on line 1"]),
        ("system_jobs:\n- name: a\n  cron: */5 * * * *", [":3:", 'quote it: "*/5 * * * *"']),
        ("system_jobs:\n- name: a\n  cron: @daily", [":3:", 'quote it: "@daily"']),
        ("system_jobs:\n- {name: a, cron: @daily}", [":2:", 'quote it: "@daily"']),
        ("system_jobs:\n- name: a\n  cron: ['0 1 * * *', */5 * * * *]", [":3:", 'quote it: "*/5 * * * *"']),
        ("system_jobs:\n- {name: a, cron: * * * * *, every: 1h}", [":2:", 'quote it: "* * * * *"']),
        ("- a", ["a mapping of settings was expected"]),
        ("a: !!python/object:os.system x", ["is not supported"]),
        ("a: &a [*a]", ["aliases that multiply"]),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, words: list[str]) -> None:
    said = told(tmp_path, text)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("section", "key", "text"),
    [
        ("kafka", "bootstrap", "broker"),
        ("kafka", "bootstrap", "a:1, [::1]:9092"),
        ("redis", "url", "rediss://u:p@a:1/2"),
        ("redis", "url", "unix:///tmp/valkey.sock"),
        ("database", "url", "postgresql+psycopg://u:p@a:1,b:2/x?sslmode=require"),
        ("database", "url", "postgresql:///x?host=/run/postgresql"),
        ("database", "url", "host=/run/postgresql dbname=x"),
    ],
)
def test_the_forms_of_addresses(tmp_path: Path, section: str, key: str, text: str) -> None:
    assert load(tmp_path, f"{section}: {{{key}: {json.dumps(text)}}}")


def test_an_address_that_is_none_keeps_its_password(tmp_path: Path) -> None:
    assert "hunter2" not in told(tmp_path, "database: {url: 'u:hunter2@a/x'}\nredis: {url: 'redis://u:hunter2@a:hunter2'}")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert len(told(tmp_path, "partitons: 4\nprefix: 'No'\nkafka: {replication: 0}").splitlines()) == 3


def test_aliases_that_multiply_each_other_are_refused(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    assert "aliases that multiply" in told(tmp_path, "\n".join(rows))


def test_aliases_and_merges_within_reason_are_fine(tmp_path: Path) -> None:
    text = """
    system_jobs:
      - &first {name: a, every: 5s, options: {attempts: 2}}
      - {<<: *first, name: b}
    """
    second = load(tmp_path, text).system_jobs[1]
    assert (second.name, second.every, second.options.attempts) == ("b", "5s", 2)


def test_scalars_are_read_as_people_mean_them(tmp_path: Path) -> None:
    text = "system_jobs: [{name: a, every: 5s, data: ['no', y, 10, 2026-01-01, 0x1f, 1.5, 1.5e+3, ~, true, a:15, 127.0.0.1:80]}]"
    assert load(tmp_path, text).system_jobs[0].data == ["no", "y", 10, "2026-01-01", 31, 1.5, 1500.0, None, True, "a:15", "127.0.0.1:80"]


def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    said = told(tmp_path, "", JOBLEDGER_KAFKA__REPLICATION="many")
    assert said.startswith("environment variable JOBLEDGER_KAFKA__REPLICATION: kafka.replication")


def test_a_slip_in_a_variable_is_told(tmp_path: Path) -> None:
    assert "did you mean JOBLEDGER_PREFIX?" in told(tmp_path, "", JOBLEDGER_PREFX="a")
    assert "did you mean `bootstrap`?" in told(tmp_path, "", JOBLEDGER_KAFKA__BOOTSTRP="a")


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, "", JOBLEDGER_CACHE="/somewhere", JOBLEDGER_SOMETHING_ELSE="1", HOME="/home") == Settings()


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in told(tmp_path, "redis: {url: ['redis://:hunter2@x']}")
    assert "hunter2" not in repr(load(tmp_path, "redis: {url: 'redis://:hunter2@x'}"))


def test_no_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misconfigured, match=r"there is no jobledger\.yaml"):
        load_settings(None, {})
    with pytest.raises(Misconfigured, match="named by --config or JOBLEDGER_CONFIG"):
        load_settings(None, {"JOBLEDGER_CONFIG": "nowhere.yaml"})


def test_the_file_is_found_where_it_is_named_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobledger.yaml").write_text("prefix: here")
    (tmp_path / "other.yaml").write_text("prefix: other")
    assert load_settings(None, {}).prefix == "here"
    assert load_settings(None, {"JOBLEDGER_CONFIG": str(tmp_path / "other.yaml")}).prefix == "other"


@pytest.mark.parametrize("bootstrap", ["a:9092,b:9092,", "::1", "[::1]:9092"])
def test_addresses_of_brokers_as_the_client_takes_them(tmp_path: Path, bootstrap: str) -> None:
    assert load(tmp_path, f"kafka: {{bootstrap: '{bootstrap}'}}").kafka.bootstrap == bootstrap
