"""What people and attackers write into a file, and what they are told: the place, the value, the reason and what could stand there."""

import time
from pathlib import Path

import pytest

from tests.unit.config.config_files import load, refused


def job(more: str, name: str = "a", when: str = "every: 5s") -> str:
    return f"system_jobs: [{{name: {name}, {when}, {more}}}]"


def test_a_bomb_of_aliases(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    began = time.monotonic()
    assert "more than 100000 values" in refused(tmp_path, "\n".join(rows))
    assert time.monotonic() - began < 5


def test_a_key_that_stands_there_twice(tmp_path: Path) -> None:
    said = refused(tmp_path, "prefix: a\nkafka:\n  replication: 1\n  replication: 3")
    assert said == "jobledger.yaml:4: the key 'replication' stands here a second time, first on line 3: keep one"


@pytest.mark.parametrize(
    "tag", ["!!python/object:os.system", "!!python/object/apply:os.system", "!!python/name:os.system", "!!binary", "!x"]
)
def test_tags_that_make_objects(tmp_path: Path, tag: str) -> None:
    said = refused(tmp_path, f"app: a\nprefix: {tag} a")
    assert said.startswith("jobledger.yaml:2: prefix: the tag ")
    assert "is not supported: plain texts, numbers, true, false, null, lists and mappings are" in said


@pytest.mark.parametrize(
    "written",
    [
        "!!bool yes",
        "!!int x",
        "!!float x",
        "!!str 5",
        "! 5",
        "!!set {x, y}",
        "!!omap [{a: 1}]",
        "!x [1]",
        "!x {a: 1}",
        "!!map {a: 1}",
        "&a !x 1",
        "{<<: !x {a: 1}}",
    ],
)
def test_a_tag_is_refused_on_whatever_it_stands(tmp_path: Path, written: str) -> None:
    said = refused(tmp_path, job(f"data: {{v: [0, {written}]}}"))
    assert said.startswith("jobledger.yaml:1: system_jobs[0].data.v[1]: the tag !")
    assert "is not supported" in said


def test_a_tag_of_a_key_or_of_the_file_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "!x\napp: a").startswith("jobledger.yaml:1: (the whole file): the tag !x is not supported")
    assert refused(tmp_path, "app: a\n!!str prefix: a").startswith("jobledger.yaml:2: prefix: the tag !!str is not supported")


def test_a_tag_in_what_is_not_ours_is_no_affair_of_ours(tmp_path: Path) -> None:
    assert load(tmp_path, "jobsConfig: {prefix: a}\nlogs: {level: !level [info], size: !!int 5, !x y: 1}").prefix == "a"


def test_tabs(tmp_path: Path) -> None:
    said = refused(tmp_path, "kafka:\n\treplication: 3")
    assert said.startswith("jobledger.yaml:2: this is no valid YAML")
    assert said.endswith("a tab: indent with spaces")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfprefix: demo").prefix == "demo"
    assert load(tmp_path, "prefix: demo".encode("utf-16")).prefix == "demo"
    assert "\\ufeffprefix" in ascii(refused(tmp_path, "app: a\n\ufeffprefix: demo"))


def test_ten_megabytes(tmp_path: Path) -> None:
    assert refused(tmp_path, b"a" * 10_000_000) == "jobledger.yaml is larger than 1048576 bytes: that is no configuration"


@pytest.mark.parametrize("text", ["[" * 10_000, "app: " + "{a: " * 10_000, "\n".join(" " * n + "a:" for n in range(1000))])
def test_ten_thousand_levels(tmp_path: Path, text: str) -> None:
    began = time.monotonic()
    assert "nested deeper than 50" in refused(tmp_path, text)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("text", [b"prefix: \x00", b"prefix: \xff\xfe\xff", b"prefix: \x1b[31m"])
def test_bytes_that_are_no_text(tmp_path: Path, text: bytes) -> None:
    assert "jobledger.yaml is no YAML that can be read: " in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a/b", "has '/' in it"),
        ("../a", "has two dots in a row, which mean the folder above"),
        ("a..b", "has two dots in a row"),
        ('"a\\0b"', "has '\\x00' in it"),
        ('"a\\nb"', "has '\\n' in it"),
        ("a" * 300, "has 300 characters"),
        ("''", "has 0 characters"),
        ("a b", "has ' ' in it"),
        (".a", "begins with '.'"),
        ("'-a'", "begins with '-'"),
        ("jöb", "has '\\xf6' in it"),
    ],
)
@pytest.mark.parametrize(
    "key", ["jobs: [{name: %s}]", "system_jobs: [{name: %s, every: 5s}]", "system_jobs: [{name: a, every: 5s, job: %s}]"]
)
def test_names_that_cannot_be(tmp_path: Path, key: str, name: str, why: str) -> None:
    said = refused(tmp_path, key % name)
    assert f"it {why}" in said
    assert "is no name of a job" in said
    assert said.endswith("for example 'clean-carts'")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [("5", "has to be a text: quote it, not 5"), ("[a]", "has to be a text"), ("~", "has to be a text: quote it, not nothing")],
)
def test_names_that_are_no_texts(tmp_path: Path, name: str, why: str) -> None:
    assert why in refused(tmp_path, f"jobs: [{{name: {name}}}]")


def test_a_zone_that_is_not(tmp_path: Path) -> None:
    said = refused(tmp_path, job("timezone: Mars/X"))
    assert said.startswith("jobledger.yaml:1: system_jobs[0].timezone: job 'a': timezone 'Mars/X'")
    assert "for example" in said


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("0", ["0 says no duration", "say its unit, as in '90s'"]),
        ("-1", ["-1 says no duration"]),
        ("1e18", ["1e18 without quotes"]),
        ("1000000000000000000", ["1000000000000000000 says no duration"]),
        ("0s", ["'0s' is zero, which is not allowed here", "for example '90s'"]),
        ("-1s", ["'-1s' is negative"]),
        ("1000000000000000000s", ["is longer than ten years"]),
        ("'1e18'", ["'1e18' is not a duration"]),
        ("''", ["'' is empty"]),
        ("true", ["True says no duration"]),
        ("1.5ms", ["is not a whole number of milliseconds"]),
        ("1 h", ["'1 h' is not a duration"]),
        ("1M", ["has a unit in capitals"]),
        ("P1M", ["counts months"]),
    ],
)
def test_timeouts_that_cannot_be(tmp_path: Path, written: str, words: list[str]) -> None:
    said = refused(tmp_path, job(f"options: {{timeout: {written}}}"))
    assert "jobledger.yaml:1: system_jobs[0].options.timeout: " in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("NO", "false in YAML 1.1: quote it ('NO'), or write false"),
        ("no", "false in YAML 1.1"),
        ("off", "false in YAML 1.1"),
        ("Yes", "true in YAML 1.1: quote it ('Yes'), or write true"),
        ("on", "true in YAML 1.1"),
        ("1e3", "a number in YAML 1.2 and a text in YAML 1.1: quote it ('1e3'), or write the number in full"),
        ("5E-3", "a number in YAML 1.2 and a text in YAML 1.1"),
        ("0o7", "an octal number in YAML 1.2 and a text in YAML 1.1: quote it ('0o7')"),
        ("010", "octal in YAML 1.1 and decimal in YAML 1.2"),
        ("0b11", "a binary number in YAML 1.1"),
        ("1_000", "a number in YAML 1.1 and a text in YAML 1.2"),
        ("1_000.5", "a number in YAML 1.1 and a text in YAML 1.2"),
        ("0.1_0", "a number in YAML 1.1 and a text in YAML 1.2"),
        ("-.1_0", "a number in YAML 1.1 and a text in YAML 1.2"),
        ("1_0.5e+3", "a number in YAML 1.1 and a text in YAML 1.2"),
        ("-0x1F", "a number in YAML 1.1 and a text in YAML 1.2"),
        ("+0x_1F", "a number in YAML 1.1 and a text in YAML 1.2"),
        ("0x1_F", "a number in YAML 1.1 and a text in YAML 1.2"),
        ("1_0:30", "read as minutes"),
        ("15:00", "read as minutes, a number, by YAML 1.1: quote it ('15:00')"),
        ("1:30:00", "read as minutes"),
        (".inf", "no number that JSON can say"),
        (".NaN", "no number that JSON can say"),
    ],
)
def test_what_is_read_in_two_ways(tmp_path: Path, written: str, why: str) -> None:
    said = refused(tmp_path, job(f"data: {{country: {written}}}"))
    assert said.startswith(f"jobledger.yaml:1: system_jobs[0].data.country: {written} without quotes is {why}")
    assert load(tmp_path, job(f"data: {{country: '{written}'}}")).system_jobs[0].data == {"country": written}


def test_a_time_of_day_without_quotes(tmp_path: Path) -> None:
    assert "system_jobs[0].at: 15:00 without quotes is read as minutes" in refused(tmp_path, "system_jobs: [{name: a, at: 15:00}]")
    said = refused(tmp_path, "system_jobs: [{name: a, at: '15:00'}]")
    assert "at '15:00' is not of the form YYYY-MM-DDTHH:MM:SS[Z]" in said


@pytest.mark.parametrize("written", ["*/5 * * * *", "@daily", "* * * * *"])
def test_a_cron_expression_without_quotes(tmp_path: Path, written: str) -> None:
    said = refused(tmp_path, f"system_jobs:\n- name: a\n  cron: {written}")
    assert said.startswith("jobledger.yaml:3: this is no valid YAML")
    assert said.endswith(f'quote it: "{written}"')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (job("", when="cron: '*/0 * * * *'"), ["system_jobs[0].cron", "'*/0' has a step of zero"]),
        (job("", when="cron: '@reboot'"), ["cannot be: a start of a process is no point in time"]),
        (job("", when="cron: '0 0 30 2 *'"), ["never fires"]),
        (job("", when="cron: ['0 0 1 * *', '0 0 0 1 1 * 2030']"), ["system_jobs[0].cron[1]", "has seven fields"]),
        (job("", when="cron: []"), ["has to be 1 to 20 expressions"]),
        (job("", when="every: 500ms"), ["system_jobs[0].every", "is shorter than one second"]),
        (job("offset: 5s"), ["system_jobs[0].offset", "is not less than `every`"]),
        (job("offset: 5s", when="cron: '0 * * * *'"), ["belongs to `every` alone"]),
        (job("jitter: 5s"), ["system_jobs[0].jitter", "is not less than the shortest interval (PT5S)"]),
        (job("limit: 0"), ["system_jobs[0].limit", "at least 1", "not 0"]),
        (job("limit: 1.5"), ["has to be a whole number"]),
        (job("overlap: skpi"), ["'skpi' is not one of 'skip'", "did you mean 'skip'?"]),
        (job("dst: vixi"), ["did you mean 'vixie'?"]),
        (job("catchup: {window: 5s}"), ["system_jobs[0].catchup", "is not from 10 s to ten years", "for example '1h'"]),
        (job("catchup: {coalesce: last}"), ["system_jobs[0].catchup.coalesce", "did you mean 'latest'?"]),
        (job("catchup: {windw: 1h}"), ["system_jobs[0].catchup.windw: there is no such key; did you mean `window`?"]),
        (job("catchup: 1h"), ["system_jobs[0].catchup: has to be a section with keys of its own"]),
        (job("pause_on_failure: 0"), ["system_jobs[0].pause_on_failure", "at least 1"]),
        (job("pause_on_failure: 5000"), ["at most 1000"]),
        (job("start: 2026-13-01"), ["system_jobs[0].start"]),
        (job("start: 2027-01-01, end: 2026-01-01"), ["system_jobs[0].start", "is after the end"]),
        (job("exclude: ['2026-02-30']"), ["system_jobs[0].exclude", "2026-02-30"]),
        (job("version: 0"), ["system_jobs[0].version", "0 is no version: a whole number from 1 to 2000000000, or auto", "for example 2"]),
        (job("version: atuo"), ["system_jobs[0].version", "'atuo' is no version"]),
        (job("exclusive: tenant"), ["system_jobs[0].exclusive", "is not one of 'job' or 'none'"]),
        (job("immediately: maybe"), ["has to be true or false, not 'maybe'"]),
        (job("options: {busy: skpi}"), ["system_jobs[0].options.busy", "did you mean 'skip'?"]),
        (job("options: {attempts: 0}"), ["system_jobs[0].options.attempts", "at least 1"]),
        ("defaults: {options: {timeout: 0s}}\n" + job(""), ["defaults.options.timeout", "is zero"]),
        ("defaults: {overlap: x}\n" + job("overlap: skip"), ["defaults.overlap", "'x' is not one of"]),
    ],
)
def test_jobs_that_cannot_be(tmp_path: Path, text: str, words: list[str]) -> None:
    said = refused(tmp_path, text)
    assert len(said.splitlines()) == 1
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        ("partitions: true", "partitions", "a whole number, for example 4"),
        ("limits: {lease: true}", "limits.lease", "a number of seconds, for example 2.5"),
        ("limits: {processes: false}", "limits.processes", "a whole number, for example 4"),
        ("queues: {mail: {partitions: true}}", "queues.mail.partitions", "a whole number, for example 4"),
        ("defaults: {options: {attempts: true}}", "defaults.options.attempts", "a whole number, for example 4"),
        (job("limit: true"), "system_jobs[0].limit", "a whole number, for example 4"),
        (job("concurrency: true"), "system_jobs[0].concurrency", "a whole number, for example 4"),
        (job("options: {priority: false}"), "system_jobs[0].options.priority", "a whole number, for example 4"),
    ],
)
def test_true_is_no_number(tmp_path: Path, text: str, key: str, what: str) -> None:
    assert f"jobledger.yaml:1: {key}: has to be {what}, not {'True' if 'true' in text else 'False'}" in refused(tmp_path, text)


@pytest.mark.parametrize("jobs", ["", "system_jobs:\n- {name: a, cron: '0 3 * * *'}\n- {name: b, every: 5s}\n"])
@pytest.mark.parametrize(
    ("default", "key", "why"),
    [
        ("timezone: Europe/Berln", "timezone", "timezone 'Europe/Berln' is not a zone of tzdata"),
        ("catchup: {window: 5s}", "catchup.window", "catchup.window 'PT5S' is not from 10 s to ten years"),
    ],
)
def test_a_default_that_cannot_be_is_told_once_and_where_it_stands(tmp_path: Path, default: str, key: str, why: str, jobs: str) -> None:
    said = refused(tmp_path, f"prefix: x\ndefaults:\n  {default}\n{jobs}")
    assert said.startswith(f"jobledger.yaml:3: defaults.{key}: {why}")
    assert "for example" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("system_jobs:\n- {name: a, every: 1h}\n- {name: a, every: 2h}", "jobledger.yaml:3: system_jobs[1].name"),
        ("system_jobs:\n- {name: a, every: 1h}\njobs:\n- {name: a}", "jobledger.yaml:2: system_jobs[0].name"),
        ("jobs:\n- {name: a}\n- {name: b}\n- {name: b}\n- {name: a}", "jobledger.yaml:4: jobs[2].name"),
        ("jobsConfig:\n  jobs:\n  - {name: a}\n  - {name: a}", "jobledger.yaml:4: jobsConfig.jobs[1].name"),
    ],
)
def test_two_jobs_of_one_name(tmp_path: Path, text: str, where: str) -> None:
    said = refused(tmp_path, text)
    assert said.startswith(f"{where}: two jobs are called '")
    assert said.endswith("(in `jobs` and `system_jobs` together): rename one of them")


ANCHORED = "system_jobs:\n- &a\n  name: a\n  every: 5s\n  exclude: [2026-01-01]\n  options:\n    attempts: 2\n- name: b\n"


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("  timezone: X\n  <<: *a", "9: system_jobs[1].timezone"),
        ("  every: X\n  <<: *a", "9: system_jobs[1].every"),
        ("  <<: *a\n  every: X", "10: system_jobs[1].every"),
        ("  options: {attempts: 0}\n  <<: *a", "9: system_jobs[1].options.attempts"),
        ("  <<: *a\n  exclude:\n  - X", "11: system_jobs[1].exclude[0]"),
        ("  <<: [{every: X}, *a]", "9: system_jobs[1].every"),
        ("  <<: *a\n  <<: {every: X, jitter: X}", "10: system_jobs[1].jitter"),
    ],
)
def test_what_goes_before_a_merged_key_is_told_where_it_stands(tmp_path: Path, more: str, where: str) -> None:
    assert refused(tmp_path, ANCHORED + more).startswith(f"jobledger.yaml:{where}: ")


@pytest.mark.parametrize("written", ["jobConfig", "jobsconfig", "jobs_config"])
def test_a_slip_in_the_root_of_the_other_layout(tmp_path: Path, written: str) -> None:
    assert "there is no such key; did you mean `jobsConfig`?" in refused(tmp_path, f"{written}: {{prefix: a}}")
