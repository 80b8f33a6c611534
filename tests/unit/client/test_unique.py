"""What a submit is unique by: the same fields, in whatever order they are written, make the same key."""

import pytest
from msgspec import Raw

from ledger import Refused, Unique
from ledger.submitting.unique import unique_of

DATA = Raw(b'{"order": {"id": 7, "lines": [{"sku": "a"}]}, "at": 1}')


@pytest.mark.parametrize(
    ("by", "data"),
    [
        ("order.id", b'{"at":2,"order":{"lines":[],"id":7}}'),
        (["order.id", "order.lines.0.sku"], b'{"order":{"lines":[{"sku":"a","n":1}],"id":7}}'),
        ("*", b'{"at":1,"order":{"lines":[{"sku":"a"}],"id":7}}'),
    ],
)
def test_the_fields_alone_make_the_key(by: str | list[str], data: bytes) -> None:
    assert unique_of(by, DATA).key == unique_of(Unique(by), Raw(data)).key == unique_of({"by": by}, DATA).key


def test_other_fields_and_other_values_are_another_key() -> None:
    keys = {unique_of(by, DATA).key for by in ("*", "order", "order.id", "at")}
    keys |= {unique_of("order.id", Raw(b'{"order": {"id": "7"}}')).key}
    keys |= {unique_of("n", Raw(b'{"n": 12345678901234567890%d}' % n)).key for n in (1, 2)}
    assert len(keys) == 7


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("order.nr", "no field 'order.nr'"),
        ("order.lines.1", "no field"),
        ([], "at least one field"),
        ({"by": "at", "states": []}, "at least one state"),
        ({"by": "at", "states": ["running"]}, "unique: "),
        ({"by": "at", "on_conflict": "merge"}, "unique: "),
        ({"by": "at", "\ud800": 1}, "unique: "),
        (7, "unique: "),
    ],
)
def test_what_makes_no_key_is_refused(given: object, said: str) -> None:
    with pytest.raises(Refused, match=said):
        unique_of(given, DATA)
