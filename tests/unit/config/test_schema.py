"""The JSON Schema that editors use: what is right fits it, and slips do not."""

from pathlib import Path

import pytest
from pydantic import create_model

from ledger.config.fields import Part
from ledger.config.meanings import meanings
from ledger.config.schema import settings_schema
from ledger.config.settings import Kafka, Limits, Queue
from ledger.config.yaml_text import read_yaml
from tests.unit.config.schema_checker import faults
from tests.unit.config.test_jobs import EVERYTHING
from tests.unit.config.test_showing import TEXT
from tests.unit.config.test_softkit import SHOP, WHOLE

EXAMPLES = sorted(Path("examples").glob("*/*.yaml"))
SCHEMA = settings_schema()


def wrong(folder: Path, text: str) -> list[str]:
    (folder / "a.yaml").write_text(text)
    return faults(read_yaml(folder / "a.yaml").values, SCHEMA, SCHEMA)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_the_examples_fit(path: Path) -> None:
    assert faults(read_yaml(path).values, SCHEMA, SCHEMA) == []


@pytest.mark.parametrize(
    "text", [EVERYTHING, TEXT, SHOP, WHOLE, "partitions: '${N:-4}'", "kafka:\njobs:\n", "system_jobs: [{name: a, every: ~}]"]
)
def test_what_may_be_written_fits(tmp_path: Path, text: str) -> None:
    assert wrong(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("prefx: a", ".prefx: not there"),
        ("partitions: many", ".partitions: anyOf"),
        ("partitions: 0", ".partitions: anyOf"),
        ("system_jobs: [{every: 5s}]", ".system_jobs: anyOf"),
        ("system_jobs: [{name: a, overlap: skpi}]", ".system_jobs: anyOf"),
        ("system_jobs: [{name: a, every: 5}]", ".system_jobs: anyOf"),
        ("jobs: [{name: a/b}]", ".jobs: anyOf"),
        ("defaults: {timezon: UTC}", ".defaults: anyOf"),
    ],
)
def test_a_slip_does_not(tmp_path: Path, text: str, fault: str) -> None:
    assert wrong(tmp_path, text) == [fault]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


def test_an_editor_knows_what_each_key_means() -> None:
    definitions = SCHEMA["$defs"]
    assert isinstance(definitions, dict)
    silent = [
        f"{name}.{key}"
        for name, section in definitions.items()
        for key, said in section.get("properties", {}).items()
        if "description" not in said and "$ref" not in str(said) and name != "Keep"  # whose keys are states
    ]
    assert silent == []


def test_the_page_of_the_settings_has_each_limit_with_its_default_and_its_meaning() -> None:
    page, means = Path("docs/settings.md").read_text(), meanings(Limits)
    for name, limit in Limits.model_fields.items():
        default = "-" if limit.default is None else f"{limit.default:g}" if isinstance(limit.default, float) else limit.default
        assert f"| `{name}` | {default} | {means[name]} |" in page


def test_each_number_that_may_have_a_fraction_is_one_of_seconds() -> None:
    """What is told of a wrong one says so."""
    said = [meanings(part)[name] for part in (Kafka, Limits) for name, field in part.model_fields.items() if field.annotation is float]
    assert len(said) == 8 and all("Seconds" in text for text in said)


def test_a_part_that_extends_another_means_the_same_by_its_keys() -> None:
    assert {"concurrency", "rate", "backlog", "partitions"} == meanings(Queue).keys()


def test_keys_whose_source_is_not_there_have_no_meaning_and_a_schema_all_the_same() -> None:
    made = create_model("Made", __base__=Part, number=(int, 1))
    assert made.model_json_schema()["properties"] == {"number": {"title": "Number", "type": "integer", "default": 1}}
