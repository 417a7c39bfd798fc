"""Times come from calibrations, which say where they come from."""

import pytest

from pfnlab import ModelError
from pfnlab.cost.calibration import (
    KEYS,
    Time,
    find_calibration,
    parse,
    shipped,
    time_of,
    timed_events,
    toml_text,
)
from pfnlab.cost.measure import measure
from pfnlab.kernel.geometry import GiB
from tests.cost.asking import asked

GOOD = """
name = "n"
machine = "m"
kernel = "k"
date = "2026"
how = "h"
source = "s"
virtual = false

[ns]
fault_pte = 100
"""


def test_every_shipped_calibration_says_where_it_comes_from() -> None:
    found = shipped()

    assert list(found) == [
        "dgx-h100", "hyperv-2022", "lab-tcg", "minor-fault", "type1-2018", "type1-2025",
    ]  # fmt: skip
    assert {name for name, each in found.items() if each.virtual} == {"hyperv-2022", "lab-tcg"}
    assert all(each.ns and each.source and each.how for each in found.values())


@pytest.mark.parametrize(
    ("name", "size", "seconds"),
    [
        ("type1-2018", 16 * GiB, 0.4),
        ("type1-2025", 32 * GiB, 1.0),
        ("dgx-h100", 128 * GiB, 3.36),
        ("hyperv-2022", 128 * GiB, 1.8),
    ],
)
def test_a_calibration_gives_the_time_that_it_was_made_from(
    name: str, size: int, seconds: float
) -> None:
    found = asked(size, kernel="v6.12", words="touch,map_dma").step("map_dma")
    time = time_of(found, find_calibration(name))

    assert time.seconds == pytest.approx(seconds, rel=0.01)
    assert time.unknown == ()


def test_a_time_names_what_it_leaves_out() -> None:
    found = asked(GiB, "insert_page_on_fault", words="touch,off").total

    assert time_of(found, parse(GOOD, "x")) == Time(262_144 * 100 / 1e9, ("clear_pte",))


def test_without_any_number_there_is_no_time() -> None:
    found = asked(GiB, words="touch").total

    assert time_of(found, parse(GOOD, "x")) == Time(None, ("fault_pud",))


def test_every_event_that_has_a_time_is_explained() -> None:
    assert set(timed_events(asked(GiB, words="touch").total)) <= set(KEYS)


def test_a_calibration_is_written_as_it_is_read() -> None:
    calibration = parse(GOOD, "x")

    assert parse(toml_text(calibration), "x") == calibration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace('machine = "m"', ""), "x: a calibration says its machine"),
        (GOOD.replace("virtual = false", ""), "x: virtual is true or false"),
        (GOOD.replace("fault_pte", "speed"), "x: nothing is called 'speed'; there are fault_pte"),
        (GOOD.replace("100", '"fast"'), "x: fault_pte is no number of ns"),
        (GOOD.replace("100", "-1"), "x: fault_pte is no number of ns"),
        (GOOD.partition("[ns]")[0], r"x: there is no table \[ns\]"),
        ("=", "x: "),
    ],
)
def test_what_is_no_calibration_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse(text, "x")


def test_a_calibration_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="no calibration is called 'mine'; there are dgx-h100"):
        find_calibration("mine")
    with pytest.raises(ModelError, match=r"there is no file ./mine\.toml"):
        find_calibration("./mine.toml")


@pytest.mark.slow
def test_this_host_can_be_measured_without_a_device() -> None:
    found = measure("here", 8 << 20)

    assert set(found.calibration.ns) | set(found.skipped) >= {
        "fault_pte", "fault_pmd", "clear_pte", "copy_pte", "lookup",
    }  # fmt: skip
    assert found.calibration.ns["fault_pte"] > 0
    assert "fault_pte" not in found.skipped
    assert parse(toml_text(found.calibration), "here").name == "here"
