"""`bulk list|show`."""

from datetime import UTC, datetime

from projections.schedule_rows import BulkFilter
from tests.unit.cli.cli_fakes import World
from tests.unit.cli.conftest import Call


def test_whole_acts_are_listed_by_who_and_when(call: Call, world: World) -> None:
    world.next = "more"
    ended = call("bulk", "list", "--actor", "ann", "--going-on", "--from", "2026-11-01", "--kind", "cancel")
    assert (ended.code, "ann" in ended.stdout, "--cursor more" in ended.stderr) == (0, True, True)
    assert world.asked_bulks == [BulkFilter("cancel", "ann", True, datetime(2026, 11, 1, tzinfo=UTC))]
    assert '"done": 3' in call("bulk", "list", "-o", "json").stdout
    assert world.asked_bulks[-1] == BulkFilter()


def test_one_is_shown_with_its_share_in_each_partition(call: Call) -> None:
    ended = call("bulk", "show", "cancel-1")
    assert ended.code == 0, ended.stderr
    assert "--resume cancel-1" in ended.stderr
    shown = call("bulk", "show", "cancel-1", "-o", "json").json
    assert isinstance(shown, dict)
    assert (shown["planned"], shown["done"], shown["refused"], shown["finished_at"], shown["outcome"]) == (5, 3, 1, None, None)
    assert [one["partition"] for one in shown["partitions"]] == [0, 1]
    assert call("bulk", "show", "nobody").code == 3
