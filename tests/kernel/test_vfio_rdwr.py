"""Accesses of the driver itself: region reads and writes, ioeventfds."""

import pytest

from pfnlab.kernel import EINVAL, PAGE_SIZE, PMD_ORDER, Lab, Mapping, VfioPciDevice
from pfnlab.kernel.errno import EIO
from tests.kernel.devices import outcome, run

BAR = PAGE_SIZE << PMD_ORDER


@pytest.mark.parametrize(
    ("bar", "offset", "count", "result"),
    [
        (0, 0, 4, 4),
        (0, 0, 12, 12),
        (0, BAR - 4, 8, 4),
        (0, BAR, 4, -EINVAL),
        (1, 0, 4, -EINVAL),
        (-1, 0, 4, -EINVAL),
    ],
)
def test_a_read_ends_with_the_bar(bar: int, offset: int, count: int, result: int) -> None:
    assert outcome(lambda lab, vdev, _m: lab.read_bar(vdev, bar, offset, count)) == result
    assert outcome(lambda lab, vdev, _m: lab.write_bar(vdev, bar, offset, count)) == result


@pytest.mark.parametrize("name", ["read_bar", "write_bar"])
def test_an_access_with_memory_off_is_an_error(name: str) -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.write_command(vdev, memory=False)
        return getattr(lab, name)(vdev)

    assert outcome(code) == -EIO


def test_an_access_in_low_power_wakes_the_device() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.pm_entry(vdev)
        return lab.read_bar(vdev)

    assert outcome(code) == 4


def test_memory_may_go_off_between_two_accesses_of_one_read() -> None:
    def read(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        return lab.read_bar(vdev, count=8)

    def config(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
        lab.write_command(vdev, memory=False)

    result, returned = run(read, config)

    assert result.verdict == "ok"
    assert {value for value in returned if value is not None} == {8, -EIO}


def test_an_ioeventfd_never_reaches_a_device_with_memory_off() -> None:
    def signal(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
        lab.ioeventfd(vdev)

    def config(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
        lab.write_command(vdev, memory=False)

    result, _ = run(signal, config)

    assert (result.verdict, result.complete) == ("ok", True)
    assert result.schedules > 2
