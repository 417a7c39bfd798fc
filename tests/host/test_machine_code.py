"""Listings of machine code say what their bytes do."""

import re

import capstone
import pytest

from pfnlab.host.alike import ALIKE
from pfnlab.host.guarded_read import SWEEP, handler
from pfnlab.host.machine_code import bytes_of, place_of

LISTINGS = {
    "alike": ALIKE,
    "sweep": SWEEP,
    "handler": handler(0x7F12_3456_7007, 0x7F12_3456_7013, 0x7FFF_0000_1000),
}


def instructions(listing: str) -> list[tuple[str, str]]:
    """(hex bytes, instruction), with the addresses of labels for their names."""
    found = []
    for line in listing.splitlines():
        code, semicolon, text = line.partition(";")
        if semicolon:
            text = text.partition("#")[0].strip()
            label = re.search(r"\b[A-Z]+$", text)
            if label:
                text = text.removesuffix(label[0]) + hex(place_of(listing, label[0]))
            found.append((code.strip(), text))
    return found


def disassembled(code: bytes) -> list[tuple[str, str]]:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    return [
        (each.bytes.hex(), f"{each.mnemonic} {each.op_str}".strip())
        for each in decoder.disasm(code, 0)
    ]


def plain(text: str, like: str) -> str:
    """Numbers in one form, and the size of an operand only where the other text has it, too."""
    if " ptr " not in like:
        text = re.sub(r"\b[dq]word ptr ", "", text)
    text = text.replace(" + 0]", "]")
    return re.sub(r"\b(0x[0-9a-f]+|\d+)\b", lambda number: hex(int(number[0], 0)), text)


@pytest.mark.parametrize("name", LISTINGS)
def test_each_line_is_the_instruction_that_its_bytes_are(name: str) -> None:
    listing = LISTINGS[name]

    written, real = instructions(listing), disassembled(bytes_of(listing))

    assert [code for code, _text in written] == [code for code, _text in real]
    for (_code, said), (_bytes, does) in zip(written, real, strict=True):
        assert plain(said, does) == plain(does, said)


def test_a_wrong_comment_is_found() -> None:
    listing = SWEEP.replace("jne READ", "jne SKIP")

    assert instructions(listing) != instructions(SWEEP)
    assert place_of(SWEEP, "SKIP") == place_of(SWEEP, "READ") + 3


@pytest.mark.parametrize("name", LISTINGS)
def test_memory_operands_without_a_register_name_their_size(name: str) -> None:
    for _code, text in instructions(LISTINGS[name]):
        if re.search(r"\], \d+$|^(inc|dec|neg|not) \[", text):
            assert " ptr " in text, text
