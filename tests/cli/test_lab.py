"""pfnlab lab, without a guest: wrong use, and what is kept of a guest that fails."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pfnlab.lab.errors import GuestError, LabError
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.packages import Available
from pfnlab.measured import MeasuredStep
from tests.cli.command import Command

KERNEL = KernelImage(Path("/boot/vmlinuz-6.12.9"), None, "6.12.9-amd64", "6.12.9")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Replace a name in the module of the command."""
    module = import_module("pfnlab.cli.lab")
    return lambda name, what: monkeypatch.setattr(module, name, what)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--bar", "3G"], "a BAR of a guest is a power of two from 4 KiB to 256 GiB"),
        (["--bar", "512G"], "a BAR of a guest is a power of two from 4 KiB to 256 GiB"),
        (
            ["--bar", "1G", "--offset", "1G"],
            "offset 0x40000000 is beyond the BAR, which has 0x40000000 bytes",
        ),
        (["frob"], "no step of a workload is called 'frob'"),
        (["--kernel", "./missing"], "no kernel at missing: there is no such file"),
        (["--kernel", "six"], "'six' is neither the path of a kernel nor a version such as 6.12"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line(
    pfnlab: Command,
    lab: Callable[[str, Any], None],
    tmp_path: Path,
    arguments: list[str],
    expected: str,
) -> None:
    if "--kernel" not in arguments:
        lab("choose_kernel", lambda *_: KERNEL)

    ran = pfnlab("lab", "run", *arguments, "--cache", str(tmp_path))

    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert expected in ran.err


def test_without_qemu_the_package_to_install_is_named(
    pfnlab: Command,
    lab: Callable[[str, Any], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab("choose_kernel", lambda *_: KERNEL)
    monkeypatch.setenv("PATH", str(tmp_path))

    ran = pfnlab("lab", "run", "--cache", str(tmp_path))

    assert ran.status == 2
    assert ran.err == ("pfnlab: no qemu-system-x86_64 here: install the package qemu-system-x86\n")


def test_a_guest_that_fails_leaves_its_steps_and_its_console(
    pfnlab: Command, lab: Callable[[str, Any], None], tmp_path: Path
) -> None:
    def measure(*_: object, **__: object) -> Iterator[MeasuredStep]:
        yield MeasuredStep("map", {"faults": 0}, {})
        yield MeasuredStep("first", {"faults": 1}, {})
        raise GuestError("the guest crashed: Kernel panic - not syncing", "line 1\nline 2\n")

    lab("choose_kernel", lambda *_: KERNEL)
    lab("measure", measure)

    ran = pfnlab("lab", "run", "--bar", "64M", "--cache", str(tmp_path))

    assert ran.status == 3
    assert "first" in ran.out
    assert "the guest crashed" in ran.out
    assert ran.err == (
        "The console of the guest:\n  line 1\n  line 2\n"
        "pfnlab: the guest crashed: Kernel panic - not syncing\n"
    )


def test_ctrl_c_leaves_the_steps_that_are_done(
    pfnlab: Command, lab: Callable[[str, Any], None], tmp_path: Path
) -> None:
    def measure(*_: object, **__: object) -> Iterator[MeasuredStep]:
        yield MeasuredStep("first", {"faults": 1}, {})
        raise KeyboardInterrupt

    lab("choose_kernel", lambda *_: KERNEL)
    lab("measure", measure)

    ran = pfnlab("lab", "run", "--bar", "64M", "--cache", str(tmp_path))

    assert (ran.status, ran.err) == (3, "pfnlab: interrupted\n")
    assert "first" in ran.out
    assert "the rest: interrupted" in ran.out


def test_kernels_that_can_be_had_are_listed_by_series(
    pfnlab: Command,
    lab: Callable[[str, Any], None],
    same_as_snapshot: Callable[[str, str], None],
) -> None:
    more = [
        Available("6.12.8-amd64", "6.12.8-1", ("linux-image-6.12.8-amd64",), 100_000_000),
        Available("6.12.9-amd64", "6.12.9-1", ("linux-image-6.12.9-amd64",), 109_400_000),
        Available("7.3.4-amd64", "7.3.4-1", ("linux-image-7.3.4-amd64",), 122_000_000),
    ]
    lab("available_kernels", lambda *_: more)
    lab("kernels_here", lambda _: [KERNEL])

    same_as_snapshot("lab_kernels", pfnlab("lab", "kernels").out)


def test_without_a_network_only_what_is_here_is_listed(
    pfnlab: Command,
    lab: Callable[[str, Any], None],
    same_as_snapshot: Callable[[str, str], None],
) -> None:
    def fail(*_: object) -> list[Available]:
        raise LabError("no lists of packages could be fetched: is there a network?")

    lab("available_kernels", fail)
    lab("kernels_here", lambda _: [])

    ran = pfnlab("lab", "kernels")

    assert ran.status == 0
    same_as_snapshot("lab_kernels_without_network", ran.out)


def test_a_version_is_named_with_or_without_its_v(
    pfnlab: Command, lab: Callable[[str, Any], None], tmp_path: Path
) -> None:
    wanted: list[str] = []

    def find(version: str, _cache: Path) -> KernelImage:
        wanted.append(version)
        return KERNEL

    lab("find_kernel", find)
    for version in ("6.12", "v6.12", "./v6.12/vmlinuz", "vmlinuz"):
        assert pfnlab("lab", "fetch", version, "--cache", str(tmp_path)).status == 0

    assert wanted == ["6.12", "6.12", "./v6.12/vmlinuz", "vmlinuz"]
