"""The text of tracefs."""

from pathlib import Path
from typing import cast

import pytest

from pfnlab.host.btf import Btf
from pfnlab.host.errors import HostError
from pfnlab.host.events import Event
from pfnlab.host.trace import module_text, probes_of
from pfnlab.host.trace_text import lost, parse

TEXT = """\
# tracer: nop
#
# entries-in-buffer/entries-written: 3/5   #P:2
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
      python3.11-160     [000] ..... 10.605558: tracing_mark_write: touch 0x7f00
 a b-c [x]-7     [001] d..1. 10.845195: huge_fault: (vfio_pci_mmap_huge_fault+0x0/0x1d0 \
[vfio_pci_core]) addr=0x7f1fc0000000 vma=0xff22a206bff09630 order=18
      python3.11-160     [000] ..... 10.9: mmap_lock_released: mm=00000000ae7c7b08 memcg_path=/ \
write=true
CPU:0 [LOST 12 EVENTS]
"""


OFFSETS = {
    "vm_fault.address": 8, "vm_fault.vma": 16, "vm_area_struct.vm_start": 24,
    "vm_area_struct.vm_end": 32, "vm_area_struct.vm_pgoff": 40,
}  # fmt: skip


class FixedOffsets:
    """Stands for the types of a kernel."""

    def offset(self, path: str) -> int:
        return OFFSETS[path]


def test_a_line_is_an_event_with_its_arguments() -> None:
    mark, fault, lock = parse(TEXT)

    assert mark == Event(10.605558, 160, "tracing_mark_write", {"mark": "touch 0x7f00"})
    assert (fault.tid, fault.kind) == (7, "huge_fault")
    assert fault.args == {"addr": "0x7f1fc0000000", "vma": "0xff22a206bff09630", "order": "18"}
    assert lock.args["write"] == "true"


def test_dropped_events_are_counted() -> None:
    assert lost(TEXT) == 2
    assert lost("") == 0


def test_a_probe_has_the_offsets_of_the_kernel() -> None:
    probes = {probe.event: probe for probe in probes_of(cast(Btf, FixedOffsets()))}

    assert probes["fault"].entry == (
        "addr=+8($arg1):x64 vma=+16($arg1):x64 start=+24(+16($arg1)):x64 end=+32(+16($arg1)):x64"
    )
    assert probes["mmap"].entry is not None
    assert probes["mmap"].entry.endswith("pgoff=+40($arg2):x64")


def test_the_addresses_of_a_module_are_found(tmp_path: Path) -> None:
    path = tmp_path / "modules"
    path.write_text(
        "vfio_pci 16384 0 - Live 0xffffffffc0800000\n"
        "vfio_pci_core 90112 1 vfio_pci, Live 0xffffffffc07e5000\n"
    )

    assert module_text("vfio_pci_core", path) == (0xFFFFFFFFC07E5000, 0xFFFFFFFFC07FB000)


def test_hidden_addresses_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "modules"
    path.write_text("vfio_pci_core 90112 1 vfio_pci, Live 0x0000000000000000\n")

    with pytest.raises(HostError, match="hides addresses"):
        module_text("vfio_pci_core", path)
