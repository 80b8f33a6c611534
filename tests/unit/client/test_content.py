"""The content hash: what is the same version, and what is another."""

from msgspec import Raw

from ledger.client.content import content_hash, content_of, differences, manifest_digest
from ledger.client.history import changes_of
from ledger.config.settings import Execution, SystemJob
from ledger.core.bodies import NOTHING
from ledger.submitting.submission import options_of


def hash_of(**written: object) -> str:
    job = SystemJob.model_validate({"name": "a", **written})
    return content_hash(NOTHING, options_of(job.options), job.schedule.spec)


def test_two_ways_to_write_a_duration_are_one_content() -> None:
    assert hash_of(every="90s", options={"timeout": "15m"}) == hash_of(every="PT90S", options={"timeout": "PT15M"})


def test_what_is_not_said_and_what_is_the_default_are_one_content() -> None:
    assert hash_of(every="90s") == hash_of(every="90s", timezone="UTC", options={})


def test_another_schedule_timeout_or_zone_is_another_content() -> None:
    hashes = {
        hash_of(every="90s"),
        hash_of(every="91s"),
        hash_of(every="90s", options={"timeout": "1m"}),
        hash_of(cron="0 30 2 * * *"),
        hash_of(cron="0 30 2 * * *", timezone="Europe/Berlin"),
    }
    assert len(hashes) == 5


def test_the_order_of_keys_in_data_does_not_matter() -> None:
    assert content_hash(Raw(b'{"a":1,"b":[1,2]}'), None, None) == content_hash(Raw(b'{ "b": [1, 2], "a": 1 }'), None, None)
    assert content_hash(Raw(b'{"b":[2,1],"a":1}'), None, None) != content_hash(Raw(b'{"b":[1,2],"a":1}'), None, None)


def test_integers_that_no_double_tells_apart_are_other_contents() -> None:
    """Beyond 64 bits too: an account that is edited into the next one is an edit."""
    numbers = (2**64 - 1, 2**64, 123456789012345678901, 123456789012345678902, -(2**63), -(2**63) - 1, 10**200, 10**200 + 1)
    assert len({content_hash(Raw(b'{"n":%d}' % n), None, None) for n in numbers}) == len(numbers)
    first, second = (content_of(Raw(b'{"n":12345678901234567890%d}' % n), None, None) for n in (1, 2))
    assert differences(first, second) == ["data.n: 123456789012345678901 -> 123456789012345678902"]


def test_null_is_a_content_and_nothing_is_not() -> None:
    assert content_hash(Raw(b"null"), None, None) != content_hash(NOTHING, None, None)


def test_the_stored_hash_never_changes() -> None:
    """A release of ours that changed it would be drift in every registry."""
    job = SystemJob(name="a", cron=["0 30 2 * * *"], timezone="Europe/Berlin", options=Execution(timeout="15m", attempts=5))
    spec = job.schedule.spec
    assert content_hash(Raw(b'{"b":1,"a":"x"}'), options_of(job.options), spec) == (
        "c9aac0bbc7212af7ad61a50193a81d9400c4e41fece69b97b8c4f3966c1ffb7f"
    )
    numbers = Raw(b'{"n":[1,-0,-0.0,1e2,1E+22,1e-7,0.1234567890123456789,18446744073709551615,-9223372036854775808,123456789.25]}')
    assert content_hash(numbers, None, None) == "bc51dcb290bb0a7a51197e378ced37a899fe32227216920aad681574a52e19b5"


def test_a_manifest_is_the_same_in_whatever_order() -> None:
    first, second = ("a", 1, "x"), ("b", 2, "y")
    assert manifest_digest([first, second]) == manifest_digest([second, first])
    assert manifest_digest([first]) != manifest_digest([first, second])


def test_differences_are_told_field_by_field() -> None:
    stored: dict[str, object] = {"options": {"timeout_ms": 1000}, "data": None}
    wanted: dict[str, object] = {"options": {"timeout_ms": 2000}, "schedule": {"every_ms": 5}}
    assert differences(stored, wanted) == [
        "data: null -> (not said)",
        "options.timeout_ms: 1000 -> 2000",
        'schedule: (not said) -> {"every_ms":5}',
    ]


def test_behind_the_last_version_there_is_no_change() -> None:
    """As on a page that a cursor of another job leads to."""
    assert changes_of([], None) == []
