"""pfnlab measure: wrong use, a dry run, and a run on a device that is a file."""

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pfnlab.host import pci
from pfnlab.host.errors import HostError
from pfnlab.measured import measured_from_data
from tests.cli.command import Command
from tests.host.fake_device import FakeDevice, fake_device
from tests.host.trees import put_device, put_vfio_host

Same = Callable[[str, str], None]
SIZE = 1 << 20
command = importlib.import_module("pfnlab.cli.measure")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server whose file system is here."""
    put_vfio_host(tmp_path)
    monkeypatch.setattr(command, "find_device", lambda name: pci.find_device(name, tmp_path))
    monkeypatch.setattr(
        command, "check_free", lambda device, unbind: pci.check_free(device, unbind, tmp_path)
    )
    monkeypatch.setattr(command, "group_members", lambda group: pci.group_members(group, tmp_path))
    return tmp_path


@pytest.fixture
def device(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[FakeDevice]:
    """0000:60:00.0 has a BAR 2 that is a file of 1 MiB."""
    bars = {0: (1 << 30, 4096), 2: (1 << 32, SIZE)}
    put_device(root, "0000:60:00.0", bars, "vfio-pci", "20")
    opened: list[FakeDevice] = []

    @contextmanager
    def open_device(_name: str, _unbind: bool) -> Iterator[FakeDevice]:
        with fake_device(SIZE) as made:
            opened.append(made)
            try:
                yield made
            finally:
                made.log.append("closed")

    monkeypatch.setattr(command, "VfioDevice", open_device)
    return opened


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("0000:99:00.0", "no PCI device is called '0000:99:00.0'"),
        ("3d:00.0", "0000:3d:00.0 is in use by nvidia: --unbind takes it away"),
        ("17:00.0 --bar 4", "0000:17:00.0 has no memory BAR 4; it has: 0, 2"),
        ("17:00.0 --offset 1", "offset 0x1 is no multiple of 4 KiB"),
        ("17:00.0 --offset 1T", "offset 0x10000000000 is beyond BAR 2"),
        ("17:00.0 --offset 4K --size 128G", "offset 0x1000 and size 0x2000000000 are beyond BAR 2"),
        ("17:00.0 --size 0", "size 0x0 must be at least 0x1000"),
        ("17:00.0 --workload dance", "no step of a workload is called 'dance'"),
        ("17:00.0 --place here", "Invalid value for '--place'"),
        ("", "Missing argument 'BDF'"),
    ],
)
@pytest.mark.usefixtures("root")
def test_wrong_use_is_one_clear_line(pfnlab: Command, arguments: str, message: str) -> None:
    ran = pfnlab("measure", *arguments.split())

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"pfnlab: {message}")
    assert ran.err.count("\n") == 1


def test_a_kernel_without_vfio_pci_is_told(root: Path, pfnlab: Command) -> None:
    (root / "sys/bus/pci/drivers/vfio-pci/bind").unlink()
    (root / "sys/bus/pci/drivers/vfio-pci").rmdir()
    ran = pfnlab("measure", "3d:00.0", "--unbind")

    assert ran.status == 2
    assert ran.err == "pfnlab: this kernel has not loaded vfio-pci: modprobe vfio-pci\n"


@pytest.mark.usefixtures("root")
def test_who_is_not_root_is_told(pfnlab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    ran = pfnlab("measure", "3d:00.0", "--unbind")

    assert ran.status == 2
    assert ran.err == "pfnlab: measure needs root, to give the device to vfio-pci\n"


@pytest.mark.usefixtures("root")
def test_a_dry_run_says_what_it_would_change(pfnlab: Command, same_as_snapshot: Same) -> None:
    ran = pfnlab("measure", "3d:00.0", "--dry-run", "--unbind", "--place", "2m")

    assert (ran.status, ran.err) == (0, "")
    same_as_snapshot("measure_dry_run", ran.out)


@pytest.mark.usefixtures("root")
def test_a_dry_run_names_the_obstacle(pfnlab: Command) -> None:
    told = pfnlab("measure", "3d:00.0", "--dry-run").out
    first = (
        "It cannot: 0000:3d:00.0 is in use by nvidia: --unbind takes it away\nOtherwise it would\n"
    )
    assert first in told
    told = pfnlab("measure", "17:00.0", "--dry-run").out
    assert "- leave it with vfio-pci, which has it\n" in told


@pytest.mark.usefixtures("root")
def test_a_dry_run_says_that_it_takes_root(
    pfnlab: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    told = pfnlab("measure", "3d:00.0", "--dry-run", "--unbind").out

    assert "\nIt cannot: measure needs root, to give the device to vfio-pci\n" in told


@pytest.mark.usefixtures("device")
def test_a_run_prints_a_row_for_each_step(pfnlab: Command) -> None:
    ran = pfnlab("measure", "60:00.0", "--workload", "first,touch,off,touch,munmap")

    assert (ran.status, ran.err) == (0, "")
    first_table = ran.out.split("\n\n")[1].splitlines()
    rows = [line.split()[0] for line in first_table]
    assert rows == ["step", "map", "first", "touch", "off", "touch", "munmap"]
    assert first_table[5].split()[:4] == ["touch", "(2)", "0", "256"]


@pytest.mark.usefixtures("device")
def test_a_run_is_told_as_data(pfnlab: Command) -> None:
    ran = pfnlab("measure", "60:00.0", "--offset", "512K", "--json", "--place", "4k")
    data = json.loads(ran.out)
    version = data.pop("pfnlab")
    measured = measured_from_data(data)

    assert version
    assert measured.workload.windows[0].offset == measured.workload.windows[0].size == SIZE // 2
    assert [step.name for step in measured.steps][-1] == "munmap"


def test_an_error_or_ctrl_c_closes_the_device(
    device: list[FakeDevice], pfnlab: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status in ((HostError("it broke"), 2), (KeyboardInterrupt(), 3)):

        def interrupted(*_arguments: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(command, "run", interrupted)
        assert pfnlab("measure", "60:00.0").status == status
    assert [each.log for each in device] == [["closed"], ["closed"]]
