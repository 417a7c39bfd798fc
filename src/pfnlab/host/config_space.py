"""PCI config space: COMMAND, capabilities, resizable BARs; over any way to read and write it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PCI_COMMAND = 0x04
PCI_COMMAND_MEMORY = 0x2
PCI_STATUS = 0x06
PCI_STATUS_CAP_LIST = 0x10
PCI_CAPABILITY_LIST = 0x34
PCI_CAP_ID_EXP = 0x10
PCI_CAP_ID_MSIX = 0x11
PCI_EXP_DEVCAP = 4
PCI_EXP_DEVCAP_FLR = 1 << 28
PCI_EXT_CAP_START = 0x100


@dataclass(frozen=True)
class MsixTable:
    """Where the MSI-X table is: a BAR, and the first byte and the size there."""

    bar: int
    offset: int
    size: int


class ConfigSpace:
    """`read(offset, size)` gives at most `size` bytes; fewer where config space ends."""

    def __init__(
        self, read: Callable[[int, int], bytes], write: Callable[[int, bytes], object]
    ) -> None:
        self._read = read
        self._write = write

    def word(self, offset: int, size: int = 4) -> int:
        """Little-endian; 0 where nothing can be read."""
        data = self._read(offset, size)
        return int.from_bytes(data, "little") if len(data) == size else 0

    @property
    def command(self) -> int:
        return self.word(PCI_COMMAND, 2)

    @command.setter
    def command(self, value: int) -> None:
        self._write(PCI_COMMAND, value.to_bytes(2, "little"))

    @property
    def memory_enabled(self) -> bool:
        """The device decodes memory: COMMAND.MEM."""
        return bool(self.command & PCI_COMMAND_MEMORY)

    def set_memory(self, on: bool) -> None:
        command = self.command
        self.command = command | PCI_COMMAND_MEMORY if on else command & ~PCI_COMMAND_MEMORY

    @contextmanager
    def command_restored(self) -> Iterator[None]:
        """COMMAND is afterwards what it was."""
        before = self.command
        try:
            yield
        finally:
            if self.command != before:
                self.command = before

    def capabilities(self) -> dict[int, int]:
        """Offsets of the capabilities, by id; a loop in a broken list ends."""
        found: dict[int, int] = {}
        if not self.word(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST:
            return found
        place = self.word(PCI_CAPABILITY_LIST, 1) & ~3
        seen: set[int] = set()
        while place >= 0x40 and place not in seen:
            seen.add(place)
            found.setdefault(self.word(place, 1), place)
            place = self.word(place + 1, 1) & ~3
        return found

    def extended_capabilities(self) -> dict[int, int]:
        """The same behind the first 256 bytes."""
        found: dict[int, int] = {}
        place = PCI_EXT_CAP_START
        seen: set[int] = set()
        while place >= PCI_EXT_CAP_START and place not in seen:
            seen.add(place)
            header = self.word(place)
            if header in (0, 0xFFFFFFFF):
                break
            found.setdefault(header & 0xFFFF, place)
            place = header >> 20 & ~3
        return found

    def has_flr(self) -> bool:
        """Function level reset, by the PCI Express capability."""
        express = self.capabilities().get(PCI_CAP_ID_EXP)
        return express is not None and bool(
            self.word(express + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR
        )

    def msix_table(self) -> MsixTable | None:
        msix = self.capabilities().get(PCI_CAP_ID_MSIX)
        if msix is None:
            return None
        entries = (self.word(msix + 2, 2) & 0x7FF) + 1
        table = self.word(msix + 4)
        return MsixTable(table & 7, table & ~7, entries * 16)
