"""pfnlab doctor, on made-up machines and on the one that runs the tests."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pfnlab.host.doctor import examine_host
from tests.cli.command import Command
from tests.host.trees import (
    KALLSYMS_HUGE,
    config_space,
    put,
    put_device,
    put_machine,
    put_vfio_host,
)

Same = Callable[[str, str], None]
GiB = 1 << 30
ON_DISK = "lib/modules/6.1/kernel/drivers/vfio/pci/vfio-pci-core.ko"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """doctor looks at what a test puts here, as an ordinary user."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(
        importlib.import_module("pfnlab.cli.doctor"), "examine_host", lambda: examine_host(tmp_path)
    )
    return tmp_path


@pytest.mark.slow
def test_a_server_gets_costs_reasons_and_remedies(
    root: Path, pfnlab: Command, same_as_snapshot: Same
) -> None:
    put_vfio_host(root)
    same_as_snapshot("doctor_server", pfnlab("doctor").out)


@pytest.mark.slow
def test_the_same_is_told_as_data(root: Path, pfnlab: Command) -> None:
    put_vfio_host(root)
    data = json.loads(pfnlab("doctor", "--json").out)

    assert (data["kernel"]["design"], data["kernel"]["profile"]) == ("huge_fault", "v6.12")
    gpu = data["devices"][0]["pci"]["bars"][1]
    assert (gpu["best"]["faults"], gpu["best"]["pte"]) == (128 * GiB // 4096,) * 2
    assert gpu["why"] == "No larger leaves: the THP policy is madvise."
    assert len(data["remedies"]) == 3


@pytest.mark.slow
def test_with_thp_always_only_addresses_stand_in_the_way(
    root: Path, pfnlab: Command, same_as_snapshot: Same
) -> None:
    put_vfio_host(root)
    put_machine(root, thp="[always] madvise never")
    same_as_snapshot("doctor_thp_always", pfnlab("doctor").out)


@pytest.mark.slow
def test_an_old_kernel_maps_pages(root: Path, pfnlab: Command, same_as_snapshot: Same) -> None:
    put_machine(root, "6.1", "[always] madvise never", virtual=True)
    put(root / ON_DISK, b"\0vfio_pci_mmap_fault\0vfio_pci_zap_and_vma_lock\0remap_pfn_range\0")
    put_device(root, "0000:17:00.0", {2: (64 * GiB, 16 * GiB)}, "vfio-pci", "3", resize=0x4400)
    same_as_snapshot("doctor_old_kernel", pfnlab("doctor").out)


@pytest.mark.slow
def test_a_hole_and_a_kernel_without_huge_pfnmaps_are_told(
    root: Path, pfnlab: Command, same_as_snapshot: Same
) -> None:
    put_machine(root, "6.12", "[always] madvise never")
    put(root / "proc/kallsyms", KALLSYMS_HUGE)
    put(root / "boot/config-6.12", "CONFIG_VFIO_PCI=y\n")
    put_device(root, "0000:17:00.0", {0: (GiB, 64 << 20)}, group="3", config=config_space())
    same_as_snapshot("doctor_hole", pfnlab("doctor").out)


@pytest.mark.slow
def test_a_kernel_without_transparent_huge_pages_is_not_told_to_change_their_policy(
    root: Path, pfnlab: Command
) -> None:
    put_vfio_host(root)
    (root / "boot/config-6.12.95").unlink()
    (root / "sys/kernel/mm/transparent_hugepage/enabled").unlink()
    told = pfnlab("doctor").out

    assert "THP      this kernel has no transparent huge pages" in told
    assert "echo always" not in told
    assert (
        "- a kernel with CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP and THP: this one maps pages of 4 KiB"
        in told
    )


def test_a_machine_without_pci_and_vfio_is_told_so(
    root: Path, pfnlab: Command, same_as_snapshot: Same
) -> None:
    put_machine(root, virtual=True)
    ran = pfnlab("doctor")

    assert (ran.status, ran.err) == (0, "")
    same_as_snapshot("doctor_nothing", ran.out)


def test_this_machine_has_an_answer(pfnlab: Command) -> None:
    ran = pfnlab("doctor", "--json")

    assert (ran.status, ran.err) == (0, "")
    assert set(json.loads(ran.out)) == {
        "pfnlab", "machine", "kernel", "root", "vfio", "counters", "devices", "remedies",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("symbols", "design", "profile"),
    [
        ("vfio_pci_mmap_fault vfio_pci_mmap_open remap_pfn_range", "remap_on_fault", "v6.1"),
        ("vfio_pci_mmap_fault unmap_mapping_range", "insert_vma_on_fault", "v6.10"),
        ("vfio_pci_mmap_huge_fault", "huge_fault", "v6.12"),
        ("vfio_pci_mmap_huge_fault vfio_pci_dma_buf_move", "huge_fault", "v7.3"),
    ],
)
def test_an_unpacked_kernel_has_a_design_and_a_profile(
    tmp_path: Path, pfnlab: Command, symbols: str, design: str, profile: str
) -> None:
    put(tmp_path / ON_DISK, b"\0" + symbols.replace(" ", "\0").encode() + b"\0")
    told = json.loads(pfnlab("doctor", "--kernel", str(tmp_path), "--json").out)["kernel"]

    assert (told["release"], told["design"], told["profile"]) == ("6.1", design, profile)
    text = pfnlab("doctor", "--kernel", str(tmp_path)).out
    assert text.splitlines()[1].startswith(f"design   {design}, by vfio-pci-core.ko")


@pytest.mark.slow
def test_it_is_told_how_far_the_address_of_mmap_agrees(root: Path, pfnlab: Command) -> None:
    put_vfio_host(root)
    put_machine(root, thp="[always] madvise never")
    put(root / "proc/kallsyms", KALLSYMS_HUGE + "0 t vfio_pci_dma_buf_move\t[vfio_pci_core]\n")
    told = pfnlab("doctor").out

    reason = "    mmap(NULL): its address agrees with that of the BAR modulo 4 KiB only."
    assert told.splitlines().count(reason) == 4


@pytest.mark.slow
@pytest.mark.parametrize("by_leaf", [False, True])
def test_lookups_of_each_page_are_told_on_kernels_that_do_them(
    root: Path, pfnlab: Command, by_leaf: bool
) -> None:
    put_vfio_host(root)
    if by_leaf:
        put(root / "proc/kallsyms", KALLSYMS_HUGE + "0 t vfio_pci_dma_buf_move\t[vfio_pci_core]\n")
    told = json.loads(pfnlab("doctor", "--json").out)["remedies"]

    lookups = "mapping BAR 2 of 0000:17:00.0 for DMA takes 33,554,432 lookups, one for each 4 KiB"
    assert any(lookups in remedy for remedy in told) != by_leaf


@pytest.mark.parametrize("place", ["boot/config-6.1", "usr/lib/modules/6.1/config"])
def test_the_config_of_an_unpacked_kernel_is_named_where_it_lies(
    tmp_path: Path, pfnlab: Command, place: str
) -> None:
    put(tmp_path / ON_DISK, b"\0vfio_pci_mmap_huge_fault\0")
    put(tmp_path / place, "CONFIG_VFIO_PCI=m\n")
    told = json.loads(pfnlab("doctor", "--kernel", str(tmp_path), "--json").out)["kernel"]

    assert told["config_from"] == str(tmp_path / place)


def test_a_folder_without_a_kernel_is_one_clear_line(pfnlab: Command, tmp_path: Path) -> None:
    ran = pfnlab("doctor", "--kernel", str(tmp_path))

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("pfnlab: no kernel is in ")
    assert ran.err.count("\n") == 1


def test_a_stable_release_has_the_profile_of_its_series(tmp_path: Path, pfnlab: Command) -> None:
    for release, profile in (("6.12.117+deb12-amd64", "v6.12.117"), ("6.12.40", "v6.12")):
        root = tmp_path / release
        put(root / ON_DISK.replace("6.1/", f"{release}/"), b"\0vfio_pci_mmap_huge_fault\0")
        told = json.loads(pfnlab("doctor", "--kernel", str(root), "--json").out)["kernel"]
        assert (told["release"], told["profile"]) == (release, profile)
