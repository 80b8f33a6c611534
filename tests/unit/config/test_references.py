"""References in values: variables of the environment, other keys, defaults, and what they must not do."""

from pathlib import Path

import pytest

from tests.unit.config.config_files import load, loaded, refused

JOB = "system_jobs: [{name: a, every: 5s, data: %s}]"


def test_another_key_is_taken_as_it_is_once_its_own_references_are_replaced(tmp_path: Path) -> None:
    text = "prefix: '${NAME:-demo}'\npartitions: 8\n" + JOB % "{p: '${partitions}', t: 'in ${prefix}: ${partitions}', b: '${limits.lease}'}"
    assert load(tmp_path, text + "\nlimits: {lease: 2.5}").system_jobs[0].data == {"p": 8, "t": "in demo: 8", "b": 2.5}


def test_items_of_lists_have_numbers(tmp_path: Path) -> None:
    assert load(tmp_path, "prefix: ${jobs.1.name}\njobs: [{name: a}, {name: b}]").prefix == "b"


def test_variables_go_before_keys(tmp_path: Path) -> None:
    text = "prefix: a\nkafka: {bootstrap: '${prefix}'}"
    assert load(tmp_path, text).kafka.bootstrap == "a"
    assert load(tmp_path, text, prefix="variable").kafka.bootstrap == "variable"


@pytest.mark.parametrize(
    ("written", "env", "meant"),
    [
        ("${A:-b}", {}, "b"),
        ("${A:-b}", {"A": ""}, "b"),
        ("${A}", {"A": ""}, ""),
        ("${A:-}", {}, ""),
        ("${A:?give A}", {"A": "a"}, "a"),
        ("${kafka.nothing:-b}", {}, "b"),
        ("$${A} $A ${A}", {"A": "a"}, "${A} $A a"),
        ("${A}", {"A": "${B}"}, "${B}"),
        ("no reference: $", {}, "no reference: $"),
        ("${A:-${B}}", {"B": "b"}, "b"),
        ("${A:-${B}}", {"A": "a", "B": "b"}, "a"),
        ("${A:-${B}}", {"A": "a"}, "a"),
        ("${A:-x-${B:-${C:-c}}-y}", {}, "x-c-y"),
        ("[${A:-${B:-b}}]${A:-}", {}, "[b]"),
        ("${A:-$${B}}", {"B": "b"}, "${B}"),
        ('${A:-{"x": {}}}', {}, '{"x": {}}'),
        ('${A:-{"x": {}}}', {"A": "a"}, "a"),
    ],
)
def test_what_a_reference_means(tmp_path: Path, written: str, env: dict[str, str], meant: str) -> None:
    assert load(tmp_path, JOB % f"{{text: '{written}'}}", **env).system_jobs[0].data == {"text": meant}


def test_a_default_may_be_another_key_as_it_is(tmp_path: Path) -> None:
    assert load(tmp_path, "partitions: 8\n" + JOB % "'${A:-${partitions}}'").system_jobs[0].data == 8


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("${A:-${B}", "`${A:-${B}` has no closing brace"),
        ("${A:-{}", "`${A:-{}` has no closing brace"),
        ("${A:-${b c}}", "`${b c}` is none of ${VAR}"),
        ("${A:-${B}}", "the environment variable B is not set"),
        ("${A:-" * 60 + "}" * 60, "more than 50 references, one inside the other"),
        ("${" * 100_000, "has no closing brace"),
    ],
)
def test_a_default_that_cannot_be(tmp_path: Path, written: str, words: str) -> None:
    said = refused(tmp_path, f"app: '{written}'")
    assert said.startswith("jobledger.yaml:1: app: ")
    assert words in said


@pytest.mark.parametrize("env", [{}, {"A": "a"}])
def test_a_secret_is_no_default_of_data_whether_it_is_needed_or_not(tmp_path: Path, env: dict[str, str]) -> None:
    assert "DB_PASSWORD looks like a secret" in refused(tmp_path, JOB % "'${A:-${B:-${DB_PASSWORD}}}'", **env)


def test_the_environment_is_not_interpolated(tmp_path: Path) -> None:
    assert load(tmp_path, "", JOBLEDGER_APP="${A}", A="a").app == "${A}"


@pytest.mark.parametrize(
    "name",
    ["DB_PASSWORD", "API_KEY", "apikey", "GITHUB_TOKEN", "MY_SECRET", "PRIVATE_KEY_FILE", "DB_PWD", "DB_PASS", "dbPass", "PW", "AWS_CREDS"],
)
def test_a_secret_in_the_data_of_a_job_is_refused(tmp_path: Path, name: str) -> None:
    said = refused(tmp_path, JOB % f"{{a: [{{b: 'x ${{{name}:-none}}'}}]}}", **{name: "hunter2"})
    assert said.startswith(f"jobledger.yaml:1: system_jobs[0].data.a[0].b: {name} looks like a secret")
    assert "hunter2" not in said


def test_nor_does_a_secret_get_there_by_another_key(tmp_path: Path) -> None:
    text = "redis: {url: 'redis://:${REDIS_PASSWORD}@r'}\napp: ${redis.url}\n" + JOB % "'${app}'"
    assert "app looks like a secret" in refused(tmp_path, text, REDIS_PASSWORD="hunter2")
    assert "URL looks like a secret" in refused(tmp_path, JOB % "'${URL}'", URL="postgresql://me:hunter2@db/x")


@pytest.mark.parametrize("name", ["COMPASS", "PASSENGER_COUNT", "PASSPORTS", "BYPASS", "PWD", "PATH", "UPWARDS"])
def test_a_name_that_only_sounds_like_a_secret_is_fine(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, JOB % f"'${{{name}}}'", **{name: "a"}).system_jobs[0].data == "a"


@pytest.mark.parametrize("reference", ["database.url", "redis.url", "redis.lock_urls.0", "JOBLEDGER_DATABASE__URL", "jobsConfig.redis.url"])
@pytest.mark.parametrize("env", [{}, {"JOBLEDGER_DATABASE__URL": "postgresql://u:hunter2@h/d"}])
def test_nor_does_a_setting_that_may_hold_one_wherever_it_is_said(tmp_path: Path, reference: str, env: dict[str, str]) -> None:
    text = "database: {url: 'postgresql://x@h/d'}\nredis: {url: 'redis://h', lock_urls: ['redis://a']}\n" + JOB % f"'${{{reference}}}'"
    assert refused(tmp_path, text, **env).startswith(f"jobledger.yaml:3: system_jobs[0].data: {reference} looks like a secret")


def test_nor_by_a_key_that_the_environment_overrides(tmp_path: Path) -> None:
    text = "app: a:b\n" + JOB % "'${app}'"
    assert "app looks like a secret" in refused(tmp_path, text, JOBLEDGER_APP="redis://u:hunter2@h")


@pytest.mark.parametrize(
    "written", ["redis://u:${X}@h", "redis://${X}:hunter2@h", "redis://u:hunter2@h", "r://h?password=${X}", "${Y:-redis://u:hunter2@h}"]
)
def test_an_address_with_credentials_is_refused_whatever_it_was_made_of(tmp_path: Path, written: str) -> None:
    said = refused(tmp_path, JOB % f"{{u: '{written}'}}", X="hunter2")
    assert said.startswith("jobledger.yaml:1: system_jobs[0].data.u: an address with credentials looks like a secret")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("redis://u:$${PW}@h", "redis://u:${PW}@h"),
        ("r://h?password=$${PW}", "r://h?password=${PW}"),
        ("https://${X}:8080/a@b", "https://h:8080/a@b"),
        ("u@h", "u@h"),
    ],
)
def test_an_address_without_credentials_is_fine(tmp_path: Path, written: str, meant: str) -> None:
    assert load(tmp_path, JOB % f"'{written}'", X="h").system_jobs[0].data == meant


def test_a_secret_elsewhere_is_fine(tmp_path: Path) -> None:
    settings = load(tmp_path, "redis: {url: 'redis://:${REDIS_PASSWORD}@r'}", REDIS_PASSWORD="hunter2")
    assert settings.redis.url.get_secret_value() == "redis://:hunter2@r"


def test_references_cannot_grow_without_bound(tmp_path: Path) -> None:
    doubling = "\n".join(f"    a{n}: '${{system_jobs.0.data.a{n + 1}}}${{system_jobs.0.data.a{n + 1}}}'" for n in range(40))
    said = refused(tmp_path, f"system_jobs:\n- name: a\n  every: 5s\n  data:\n{doubling}\n    a40: xxxxxxxx")
    assert "more than 65536 characters" in said
    many = "${app}" * 5000
    assert "more than 65536 characters" in refused(tmp_path, f"app: {'x' * 1000}\nprefix: '{many}'")


def test_references_cannot_be_a_chain_without_end(tmp_path: Path) -> None:
    chain = "\n".join(f"    a{n}: '${{system_jobs.0.data.a{n + 1}}}'" for n in range(3000))
    assert "more than 50 references" in refused(tmp_path, f"system_jobs:\n- name: a\n  every: 5s\n  data:\n{chain}\n    a3000: x")


def test_what_came_from_a_secret_is_known(tmp_path: Path) -> None:
    told = loaded(tmp_path, "app: ${APP_TOKEN}\nprefix: a", APP_TOKEN="x").told
    assert (told.is_secret(("app",)), told.is_secret(("prefix",))) == (True, False)


@pytest.mark.parametrize("parameter", ["max_tokens=500", "page_token=abc", "private=false"])
def test_an_address_in_data_whose_parameters_only_sound_like_secrets_is_fine(tmp_path: Path, parameter: str) -> None:
    load(tmp_path, JOB % f"{{u: 'https://h/?{parameter}'}}")
