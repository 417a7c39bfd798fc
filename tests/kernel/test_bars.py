"""BARs lie where PCI would put them, or the setup ends with one line."""

import pytest

from pfnlab import ModelError, Scenario, explore
from pfnlab.designs import huge_fault
from pfnlab.kernel import PAGE_SIZE, GiB, KiB, Lab, TiB
from pfnlab.kernel.bars import BAR_ADDRESS, BarRange

Asked = tuple[tuple[int, ...], int | None]  # sizes, bar_address


def bars_of(*devices: Asked) -> list[BarRange]:
    """The BARs of devices that a scenario makes."""
    found: list[BarRange] = []

    def build(lab: Lab) -> None:
        found.clear()
        for sizes, address in devices:
            found.extend(lab.vfio_device(*sizes, bar_address=address).bars)
        lab.add_task("nobody", lambda: None)

    explore(Scenario("bars", "Devices are made.", build), huge_fault.design)
    return found


def test_every_bar_is_aligned_to_its_size() -> None:
    bars = bars_of(((PAGE_SIZE, 256 * KiB), None), ((4 * TiB,), None), ((PAGE_SIZE,), None))

    assert bars[0] == (BAR_ADDRESS, PAGE_SIZE)
    assert [start % size for start, size in bars] == [0] * 4


def test_a_device_lies_behind_those_before_it_whatever_they_have() -> None:
    for first in (((3 * TiB,), None), ((PAGE_SIZE,), 64 * TiB), ((2 * TiB, 2 * TiB), None)):
        bars = bars_of(first, ((PAGE_SIZE,), None))

        assert bars[-1][0] >= max(start + size for start, size in bars[:-1])


def test_a_bar_may_be_anywhere_that_it_is_aligned() -> None:
    assert bars_of(((GiB,), 5 * GiB)) == [(5 * GiB, GiB)]
    assert bars_of(((GiB,), (1 << 52) - GiB)) == [((1 << 52) - GiB, GiB)]


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ([((PAGE_SIZE,), 0x1234)], "bar_address=0x1234 is no multiple of 0x1000"),
        ([((PAGE_SIZE,), -PAGE_SIZE)], "bar_address=-0x1000 is no multiple"),
        ([((GiB,), PAGE_SIZE)], "bar_address=0x1000 is no multiple of 0x40000000"),
        ([((3 * PAGE_SIZE,), PAGE_SIZE)], "bar_address=0x1000 is no multiple of 0x4000"),
        ([((PAGE_SIZE,), 1 << 66)], "at 0x40000000000000000 does not end below 0x10000000000000"),
        ([((PAGE_SIZE,), None), ((PAGE_SIZE,), BAR_ADDRESS)], "at 0x3800000000 overlaps the one"),
        ([((2 * GiB,), 2 * GiB), ((GiB,), 3 * GiB)], "0xc0000000 overlaps the one at 0x80000000"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(devices: list[Asked], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        bars_of(*devices)
