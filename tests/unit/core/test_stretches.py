"""Which part of a schedule was decided by which zone data."""

from ledger.core.stretches import UNKNOWN, Decided, Rezoned, Stretch, by_zone_data

DECIDED = [Decided(1, tick, tick, seq, 0) for tick, seq in ((10, 1), (20, 2), (30, 3), (40, 4))]


def test_where_no_zone_data_changed_it_is_one_part() -> None:
    for one in (Stretch(1, 0), Stretch(1, 0, 50, "2025a")):
        assert by_zone_data(one, [], DECIDED) == [one]


def test_what_was_decided_before_a_change_is_a_part_of_its_own() -> None:
    assert by_zone_data(Stretch(1, 0, None, "2025a"), [Rezoned(3, "2025b")], DECIDED) == [
        Stretch(1, 0, 29, "2025a"),
        Stretch(1, 29, None, "2025b"),
    ]


def test_by_what_was_decided_before_the_first_change_is_known_where_the_stretch_says_so_alone() -> None:
    assert by_zone_data(Stretch(1, 0), [Rezoned(3, "2025b")], DECIDED) == [Stretch(1, 0, 29, UNKNOWN), Stretch(1, 29, None, "2025b")]


def test_of_changes_between_two_ticks_the_last_counts() -> None:
    changes = [Rezoned(3, "2025b"), Rezoned(3, "2025c")]
    assert by_zone_data(Stretch(1, 0, None, "2025a"), changes, DECIDED) == [Stretch(1, 0, 29, "2025a"), Stretch(1, 29, None, "2025c")]


def test_a_change_before_all_that_was_decided_leaves_one_part() -> None:
    assert by_zone_data(Stretch(1, 0), [Rezoned(1, "2025b")], DECIDED) == [Stretch(1, 0, None, "2025b")]


def test_a_change_behind_all_that_was_decided_leaves_one_part() -> None:
    assert by_zone_data(Stretch(1, 0, 50), [Rezoned(5, "2025b")], DECIDED) == [Stretch(1, 0, 50, UNKNOWN)]


def test_ticks_of_other_versions_and_stretches_say_nothing() -> None:
    other = [Decided(2, 5, 5, 9, 0), *DECIDED]
    assert by_zone_data(Stretch(1, 0, 25, "2025a"), [Rezoned(3, "2025b")], other) == [Stretch(1, 0, 25, "2025a")]
