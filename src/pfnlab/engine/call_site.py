"""What a frame stands at, and whether nothing hides between it and the function that it calls.

A frame does not tell whether it called the next one itself, or a C function that did:
`sorted(pages, key=look)` calls look() many times and counts them where nobody can see it.
So a call counts as its own only if the function has the name by which it was called.
"""

import dis
from functools import cache
from types import CodeType
from typing import Final

# Instructions that may call a function, and then only once: an attribute, an item, `with`, `not`.
_ONCE: Final = frozenset({
    "BEFORE_WITH", "BINARY_OP", "BINARY_SUBSCR", "LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR",
    "STORE_SUBSCR", "TO_BOOL", "UNARY_NOT",
})  # fmt: skip
# Functions in C that do the same.
_BUILTINS: Final = frozenset({
    "abs", "bool", "float", "getattr", "hash", "int", "len", "repr", "setattr", "str",
})  # fmt: skip
_NO_FUNCTION: Final = frozenset({"KW_NAMES", "NOP", "PUSH_NULL"})


@cache
def place_of(code: CodeType, offset: int) -> int:
    """Where the instruction begins that a frame stands at.

    A frame that waits for a call may stand at the call or at what is cached behind it, or in
    Python 3.11 at PRECALL before it.  That changes when the interpreter specializes the call.
    """
    place, before = 0, ""
    for instruction in dis.get_instructions(code):
        if instruction.offset > offset:
            break
        if before != "PRECALL":
            place = instruction.offset
        before = instruction.opname
    return place


@cache
def calls(code: CodeType, place: int, name: str) -> bool:
    """Whether the instruction at a place calls a function of this name, and nothing else."""
    instructions = list(dis.get_instructions(code))
    at = next(n for n, each in enumerate(instructions) if each.offset == place)
    here = instructions[at]
    if here.opname in _ONCE or here.opname.startswith("POP_JUMP"):
        return True
    if here.opname not in ("PRECALL", "CALL") or here.arg is None:
        return False
    above = here.arg  # values on the stack that lie above the function
    for each in reversed(instructions[:at]):
        if each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
            return False
        if above == 0 and each.opname not in _NO_FUNCTION:
            return each.argval == name or each.argval in _BUILTINS
        if above < 0 or each.is_jump_target:
            return False
        if above:
            above -= dis.stack_effect(each.opcode, each.arg)
    return False
