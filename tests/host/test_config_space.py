"""Config space of a made-up device."""

import pytest

from pfnlab.host.config_space import ConfigSpace, MsixTable
from tests.host.trees import config_space


class Device:
    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.written: list[tuple[int, bytes]] = []
        self.space = ConfigSpace(lambda at, size: bytes(self.data[at : at + size]), self.write)

    def write(self, offset: int, data: bytes) -> None:
        self.written.append((offset, data))
        self.data[offset : offset + len(data)] = data


def test_capabilities_tell_flr_and_msix() -> None:
    space = Device(config_space()).space

    assert space.has_flr()
    assert space.msix_table() == MsixTable(0, 0x2000, 128 * 16)


def test_memory_is_one_bit_of_command() -> None:
    device = Device(config_space())
    device.space.set_memory(False)
    assert not device.space.memory_enabled
    device.space.set_memory(True)

    assert device.written == [(4, b"\x04\0"), (4, b"\x06\0")]


def test_command_is_restored_also_after_an_error() -> None:
    device = Device(config_space())
    with pytest.raises(RuntimeError), device.space.command_restored():
        device.space.set_memory(False)
        raise RuntimeError
    assert device.space.command == 6

    device.written.clear()
    with device.space.command_restored():
        pass
    assert device.written == []


@pytest.mark.parametrize("length", [0, 4, 64, 256])
def test_what_cannot_be_read_has_no_capabilities(length: int) -> None:
    space = Device(config_space()[:length]).space
    assert space.msix_table() is None or length == 256
    assert space.has_flr() == (length == 256)


def test_a_list_that_goes_in_a_circle_ends() -> None:
    data = bytearray(config_space())
    data[0x61] = 0x40
    data[0x100:0x104] = (0x0001 | 1 << 16 | 0x100 << 20).to_bytes(4, "little")
    space = Device(bytes(data)).space

    assert sorted(space.capabilities()) == [0x10, 0x11]
    assert space.extended_capabilities() == {1: 0x100}
