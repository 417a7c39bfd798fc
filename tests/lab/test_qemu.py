"""The command line of QEMU, and which accelerator it is given."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from pfnlab.lab.errors import LabError
from pfnlab.lab.qemu import (
    APPEND,
    INIT_ARGUMENTS,
    PORTS,
    SEVERAL_CPUS,
    Device,
    Machine,
    best_accelerator,
    command_line,
    find_qemu,
    fits_later,
    kernel_command_line,
    port_address,
    version,
)

SOCKETS = {"console": 5, "channel": 7, "qmp": 9}
MACHINE = Machine(Path("/k/vmlinux"), Path("/k/initrd"))


def words(machine: Machine = MACHINE, ram: Path | None = None, share: bool = False) -> list[str]:
    return command_line("qemu", machine, SOCKETS, ram, share)


def after(option: str, command: list[str]) -> list[str]:
    return [word for before, word in pairwise(command) if before == option]


def test_several_cpus_are_told_not_to_trust_their_clock() -> None:
    one = Machine(Path("k"), Path("i"), append="quiet")
    two = Machine(Path("k"), Path("i"), cpus=2, append="quiet")

    assert kernel_command_line(one) == f"{APPEND} quiet {INIT_ARGUMENTS}"
    assert kernel_command_line(two) == f"{APPEND} {SEVERAL_CPUS} quiet {INIT_ARGUMENTS}"
    assert after("-smp", words(two)) == ["2"]
    assert after("-append", words(two)) == [kernel_command_line(two)]


def test_a_guest_gets_the_kernel_and_nothing_of_the_users() -> None:
    command = words()

    assert after("-kernel", command) == ["/k/vmlinux"]
    assert after("-initrd", command) == ["/k/initrd"]
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(command)


def test_emulation_has_a_cpu_of_its_own_and_kvm_that_of_the_host() -> None:
    kvm = words(Machine(Path("k"), Path("i"), accelerator="kvm"))

    assert after("-cpu", words()) == ["max,-erms,-fsrm,-cx16,-smap,-avx,-avx2"]
    assert after("-cpu", kvm) == ["host"]
    assert "accel=tcg" in after("-machine", words())[0].split(",")
    assert "accel=kvm" in after("-machine", kvm)[0].split(",")


@pytest.mark.parametrize(("share", "said"), [(True, "share=on"), (False, "share=off")])
def test_memory_in_a_file_is_shared_only_while_a_snapshot_is_made(share: bool, said: str) -> None:
    (backend,) = after("-object", words(ram=Path("/c/ram"), share=share))

    assert backend.split(",") == [
        "memory-backend-file", "id=ram", f"size={1 << 30}", "mem-path=/c/ram", said
    ]  # fmt: skip


def test_memory_of_its_own_is_in_no_file() -> None:
    assert after("-object", words()) == [f"memory-backend-ram,id=ram,size={1 << 30}"]


def test_a_comma_in_a_path_does_not_end_it() -> None:
    (backend,) = after("-object", words(ram=Path("/a,share=on/ram")))

    assert "mem-path=/a,,share=on/ram,share=off" in backend


def test_each_socket_is_one_that_was_opened_before() -> None:
    command = words()

    assert after("-chardev", command) == [
        f"socket,id={name},fd={fd}" for name, fd in SOCKETS.items()
    ]
    # The console is ttyS0, and the agent waits on ttyS1.
    assert after("-serial", command) == ["chardev:console", "chardev:channel"]


def test_ports_are_where_the_guest_looks_for_them() -> None:
    ports = [word for word in after("-device", words()) if word.startswith("pcie-root-port")]

    slots = [int(re.findall(r"addr=(0x\w+)", port)[0], 16) for port in ports]
    assert [f"0000:00:{slot:02x}.0" for slot in slots] == [
        port_address(number) for number in range(len(PORTS))
    ]
    assert [f"pref64-reserve={size}B" in port for size, port in zip(PORTS, ports, strict=True)] == [
        True
    ] * len(PORTS)


def test_ports_leave_more_than_half_of_the_addresses_free() -> None:
    assert sum(PORTS) < 1 << 39


def test_a_bar_fits_later_if_its_port_has_an_aligned_place_for_it_wherever_it_begins() -> None:
    def testdev(gib: int) -> Device:
        return Device("pci-testdev", {"membar": gib << 30})

    assert fits_later([])
    assert fits_later([testdev(128), testdev(32), testdev(16), Device("ivshmem-plain", memory=1)])
    assert not fits_later([testdev(256)])
    assert not fits_later([testdev(1), testdev(64)])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu vmx sse", "kvm"), ("fpu svm", "kvm"), ("fpu svm_lock avmx", "tcg")],
)
def test_kvm_needs_a_cpu_that_can_have_guests(tmp_path: Path, flags: str, expected: str) -> None:
    (tmp_path / "kvm").touch()
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: vmx\n")

    assert best_accelerator(str(tmp_path / "kvm"), str(tmp_path / "cpuinfo")) == expected


def test_without_kvm_a_guest_is_emulated(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: vmx\n")

    assert best_accelerator(str(tmp_path / "kvm"), str(tmp_path / "cpuinfo")) == "tcg"


def test_without_qemu_the_package_is_named() -> None:
    with pytest.raises(LabError, match="install the package qemu-system-x86"):
        find_qemu("qemu-that-nobody-has")


def test_the_version_is_that_which_qemu_prints(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text("#!/bin/sh\necho 'QEMU emulator version 7.2.22 (Debian 1:7.2)'\n")
    program.chmod(0o755)

    assert version(str(program)) == "7.2.22"


def test_a_qemu_that_does_not_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="does not run"):
        version(str(tmp_path / "qemu"))
