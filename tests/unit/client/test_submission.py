"""From what a caller says to a command, and what is refused before anything is sent."""

import dataclasses
import math
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pydantic
import pytest
from msgspec import Raw, Struct
from pydantic import BaseModel, Field, SecretStr, field_serializer

from ledger.client.line import checked
from ledger.core import wire
from ledger.core.ids import TIME_ORDERED, ExecutionId
from ledger.core.options import Options
from ledger.core.pause import Pause
from ledger.core.refusal import Refused
from ledger.core.request import Cancel, RunNow, Submit
from ledger.core.strict_json import DEEPEST
from ledger.submitting.encoding import check_size, encode_data
from ledger.submitting.naming import fresh_command_id
from ledger.submitting.submission import Submission, command_of, submission_of
from ledger.submitting.unique import Unique


class Invoice(BaseModel):
    number: int
    at: datetime


@dataclasses.dataclass
class Line:
    text: str


@dataclasses.dataclass
class Hidden:
    _number: int


class Customer(BaseModel):
    customer_id: int = Field(alias="customerId")


@pydantic.dataclasses.dataclass
class Client:
    customer_id: int = Field(alias="customerId")


class Login(BaseModel):
    password: SecretStr


class Revealed(Login):
    note: str | None

    @field_serializer("password", when_used="json")
    def reveal(self, password: SecretStr) -> str:
        return password.get_secret_value()


class Rate(BaseModel):
    rate: float


class Rates(BaseModel):
    rates: object


class Packed(Struct):
    rate: float


class Counted(Struct):
    by_number: dict[int, int]


def refusal_of(wish: Submission) -> str:
    with pytest.raises(Refused) as error:
        command_of(wish)
    return str(error.value)


def test_models_dataclasses_and_plain_json_become_bytes() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert bytes(encode_data(Invoice(number=1, at=at))) == b'{"number":1,"at":"2026-01-02T00:00:00Z"}'
    assert bytes(encode_data(Line("a"))) == b'{"text":"a"}'
    assert bytes(encode_data({"invoices": [Invoice(number=1, at=at)]})) == b'{"invoices":[{"number":1,"at":"2026-01-02T00:00:00Z"}]}'
    assert bytes(encode_data(None)) == b"null"
    assert bytes(encode_data(Raw(b"[1]"))) == b"[1]"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Customer(customerId=7), b'{"customerId":7}'),
        ([Customer(customerId=7)], b'[{"customerId":7}]'),
        ({"customer": Client(customerId=7)}, b'{"customer":{"customerId":7}}'),
        (Client(customerId=7), b'{"customerId":7}'),
        (Hidden(7), b'{"_number":7}'),
        ({"rates": [Packed(1.5)]}, b'{"rates":[{"rate":1.5}]}'),
        ([Counted({7: 2})], b'[{"by_number":{"7":2}}]'),
        (Revealed(password=SecretStr("x"), note=None), b'{"password":"x","note":null}'),
        ({"note": None, "mask": "**********"}, b'{"note":null,"mask":"**********"}'),
    ],
)
def test_what_a_handler_reads_is_what_was_submitted(value: object, written: bytes) -> None:
    assert bytes(encode_data(value)) == written


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, "it is nan"),
        ({"none": None, "rates": [1.5, math.inf]}, "/rates/1 is inf"),
        (Rate(rate=math.nan), "/rate is nan"),
        ({"by": {"name": Rate(rate=math.nan)}}, "/by/name/rate is nan"),
        (Packed(math.nan), "/rate is nan"),
        ({"by": [Packed(math.nan)]}, "/by/0/rate is nan"),
        ({"last": deque([1.5, math.nan])}, "/last/1 is nan"),
        (Login(password=SecretStr("hunter2")), "/password is a SecretStr"),
        ({"password": SecretStr("hunter2")}, "/password is a SecretStr"),
    ],
)
def test_what_json_would_say_as_something_else_is_refused_by_its_place(value: object, words: str) -> None:
    with pytest.raises(Refused) as error:
        encode_data(value)
    assert error.value.reason == "invalid_data"
    assert words in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("value", [object(), {1: object()}, {"a": 1 << 70}, Raw(b"{"), Raw(b'"\\ud800"'), {"a": "\0"}])
def test_what_json_cannot_say_or_tables_cannot_keep_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        encode_data(value)


@pytest.mark.parametrize("make", [lambda inside: [inside], lambda inside: {"a": inside}, lambda inside: Rates(rates=inside)])
def test_data_has_as_many_levels_as_a_handler_can_read(make: Callable[[object], object]) -> None:
    value: object = 1
    for _ in range(DEEPEST - 1):
        value = [value]
    encode_data(make(value))
    with pytest.raises(Refused, match="nested more than 200 levels deep"):
        encode_data(make([value]))


def test_too_much_data_is_refused_with_its_size() -> None:
    command = command_of(Submission("a", "x" * 300_000))
    with pytest.raises(Refused, match=r"300\d+ bytes, 300002 of them data; at most 262144"):
        check_size(wire.encode(command), command.data)


def test_who_says_too_much_hears_so_before_anything_is_sent() -> None:
    assert "reason has 2001 characters: at most 2000" in refusal_of(Submission("a", reason="x" * 2001))
    for command in (RunNow("c", "a", actor="x" * 201), Pause("c", "job", "a", reason="x" * 2001)):
        with pytest.raises(Refused, match="characters: at most"):
            checked(command)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cancel("c", ExecutionId("e1-0"), reason="M\udcfcller"),
        lambda: command_of(Submission("a", tenant="M\udcfcller")),
        lambda: command_of(Submission("a", labels={"M\udcfcller": "x"})),
        lambda: command_of(Submission("a", idempotency_key="M\udcfcller")),
    ],
)
def test_what_has_half_a_surrogate_pair_in_it_is_refused(make: Callable[[], Cancel | Submit]) -> None:
    with pytest.raises(Refused, match=r"half a surrogate pair: '.*M\\udcfcller.*' is no UTF-8"):
        checked(make())


def test_command_ids_are_time_ordered_and_fresh() -> None:
    ids = [fresh_command_id() for _ in range(10_000)]
    assert len(set(ids)) == 10_000
    assert all(map(TIME_ORDERED.fullmatch, ids))
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)


def test_an_idempotency_key_names_the_command() -> None:
    def named(job: str = "a", tenant: str = "t", key: str = "k", exclusive_key: str | None = None) -> str:
        return command_of(Submission(job, tenant=tenant, idempotency_key=key, exclusive_key=exclusive_key)).command_id

    assert named() == named()
    assert len({named(), named(job="b"), named(tenant="u"), named(key="l"), named(exclusive_key="e")}) == 5
    assert wire.COMMAND_ID.fullmatch(named(key="ü € /"))


def test_durations_instants_and_options_are_read() -> None:
    command = command_of(Submission("a", delay="90s", start_deadline=timedelta(minutes=2), options={"timeout": "5m", "attempts": 2}))
    assert command.delay_ms == 90_000
    assert command.options == Options(timeout_ms=300_000, start_deadline_ms=120_000, attempts=2)
    assert command_of(Submission("a", run_at="1970-01-01T00:00:01Z")).run_at == 1_000_000


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Submission("a b"), "is no name of a job"),
        (Submission("a/b"), "is no name of a job: it has '/' in it"),
        (Submission(""), "is no name of a job"),
        (Submission("a", delay="5"), "has no unit"),
        (Submission("a", delay=5), "say its unit"),
        (Submission("a", run_at="2026-01-01T00:00:00"), "has no time zone"),
        (Submission("a", run_at="tomorrow"), "is no instant"),
        (Submission("a", run_at="9000-01-01T00:00:00Z"), "before the year 3000"),
        (Submission("a", options=Options(timeout_ms=10**16)), "options.timeout_ms"),
        (Submission("a", run_at=datetime(2026, 1, 1, tzinfo=UTC), delay="5s"), "both say when"),
        (Submission("a", options={"timeot": "5s"}), "options.timeot"),
        (Submission("a", options={"attempts": 0}), "options.attempts"),
        (Submission(None), "is no name of a job"),  # type: ignore[arg-type]  # that is the point
        (Submission("a", tenant=5), "$.tenant"),  # type: ignore[arg-type]
        (Submission("a", idempotency_key=7), "$.idempotency_key"),  # type: ignore[arg-type]
        (Submission("a", reason=5), "$.reason"),  # type: ignore[arg-type]
        (Submission("a", priority="3"), "$.priority"),  # type: ignore[arg-type]
        (Submission("a", labels={"a": 1}), "$.labels"),  # type: ignore[dict-item]
        (Submission("a", labels={"": "x"}), "labels: one has no name"),
        (Submission("a", {"b": 1}, unique=Unique("b", states="delayed")), "unique: Expected `array`"),  # type: ignore[arg-type]
        (Submission("a", {"b": 1}, unique=Unique("b", on_conflict="x")), "unique: Invalid enum value 'x'"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_meant_is_refused(wish: Submission, words: str) -> None:
    assert words in refusal_of(wish)


def test_many_forms_of_one_wish() -> None:
    assert submission_of({"job": "a", "data": 1}) == submission_of(("a", 1)) == submission_of(Submission("a", 1))


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"jbo": "a"}, "did you mean 'job'?"),
        ({"jo\ud800b": "a"}, "has no field 'jo\\ud800b'; did you mean 'job'?"),
        ({"data": 1}, "missing required field `job`"),
        ({"job": "a", "tenant": 5}, "$.tenant"),
        ({"job": "a", "labels": {"x": 1}}, "$.labels"),
        ((), "a tuple of 0 is no submit"),
        (("a",) * 20, "a tuple of 20 is no submit"),
    ],
)
def test_an_item_that_is_no_wish_is_refused(wish: object, words: str) -> None:
    with pytest.raises(Refused) as error:
        submission_of(wish)  # type: ignore[arg-type]  # that is the point
    assert words in str(error.value)
