"""How data is printed for programs."""

import pytest

from ledger.cli.output import Form, show_one
from ledger.core.ids import Address


@pytest.mark.parametrize(("form", "printed"), [(Form.jsonl, '{"at":[204,0]}\n'), (Form.yaml, "at:\n- 204\n- 0\n")])
def test_a_place_is_printed_as_the_log_has_it(capsys: pytest.CaptureFixture[str], form: Form, printed: str) -> None:
    show_one({"at": Address(204, 0)}, form)
    assert capsys.readouterr().out == printed
