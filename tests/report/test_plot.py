"""A picture of costs."""

from pfnlab.report.plot import rising, sizes_to


def test_where_a_larger_leaf_fits_a_line_begins_anew() -> None:
    points = [(2, 1.0), (4, 2.0), (8, 2.0), (16, 1.0), (32, 2.0)]

    assert rising(points) == [points[:3], points[3:]]
    assert rising([]) == []


def test_sizes_are_powers_of_two_up_to_the_one_that_was_asked_for() -> None:
    assert sizes_to(6 << 20) == [2 << 20, 4 << 20, 6 << 20]
    assert sizes_to(4096) == [4096]
