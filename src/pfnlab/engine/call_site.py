"""What a frame stands at, and whether nothing hides between it and the function that it calls.

A frame does not tell whether it called the next one itself, or a C function that did:
`sorted(pages, key=look)` calls look() many times and counts them where nobody can see it.
So a call counts as its own only if the function has the name by which it was called, or a local
variable of that name holds it.
"""

import dis
from itertools import pairwise
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final, final

from pfnlab.engine.cell import Transparent
from pfnlab.engine.constant import changing

# Instructions that may call a function, and then only once: an attribute, an item, `with`, `not`.
_ONCE: Final = frozenset({
    "BEFORE_WITH", "BINARY_OP", "BINARY_SUBSCR", "LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR",
    "STORE_SUBSCR", "TO_BOOL", "UNARY_NOT",
})  # fmt: skip
# Functions in C that do the same.
_BUILTINS: Final = frozenset({
    "abs", "bool", "float", "getattr", "hash", "int", "len", "repr", "setattr", "str",
})  # fmt: skip
# Iterators and generators count rounds where nobody sees it, and so may a variable of the module.
_COUNT: Final = frozenset(
    opcode
    for name, opcode in dis.opmap.items()
    if name.startswith(("FOR_ITER", "SEND", "YIELD", "STORE_GLOBAL"))
)
# After :=, or a = b = c, an old value may stay on the stack.
_COPY: Final = dis.opmap["COPY"]
_STORES: Final = frozenset(
    opcode
    for name, opcode in dis.opmap.items()
    if name.startswith("STORE_") and "SUBSCR" not in name
)
_STORE_ATTR: Final = dis.opmap["STORE_ATTR"]
_GENERATORS: Final = 0x20 | 0x80 | 0x200  # CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
ANY: Final = "*"  # whatever it calls, it does so once
_NO_FUNCTION: Final = frozenset({"KW_NAMES", "NOP", "PUSH_NULL"})


@final
class Known:
    """What has been found out about a piece of code.

    To hash a code object takes as long as all that is done with it here, so they are known by
    their ids; each is kept, so that its id stays its own.
    """

    def __init__(self, code: CodeType, module: dict[str, Any]) -> None:
        self.code: Final = code
        self.places: dict[int, int] = {}  # by offset
        self.callees: dict[int, str] = {}  # by place
        # Opcodes stand at even places, those of caches among them.
        opcodes = [each for each in code.co_code[::2] if each != dis.EXTENDED_ARG]
        self.counts: Final = bool(code.co_flags & _GENERATORS) or not _COUNT.isdisjoint(opcodes)
        self.keeps: Final = any(
            one == _COPY and other in _STORES for one, other in pairwise(opcodes)
        )
        self.looks_at: Final = _looks_at(code, module)
        self.keeps_in: Final = _keeps_in(code, module)

    def place_of(self, offset: int) -> int:
        """Where the instruction begins that a frame stands at.

        A frame that waits for a call may stand at the call or at what is cached behind it, or in
        Python 3.11 at PRECALL before it.  That changes when the interpreter specializes the call.
        """
        place = self.places.get(offset)
        if place is None:
            place = self.places[offset] = _place_of(self.code, offset)
        return place

    def calls(self, place: int, called: CodeType, values: dict[str, Any]) -> bool:
        """Whether the instruction at a place calls this code, and nothing else.

        `values` are the local variables there.
        """
        name = self.callees.get(place)
        if name is None:
            name = self.callees[place] = _callee(self.code, place)
        if name in (ANY, called.co_name) or name in _BUILTINS:
            return True
        value = values.get(name)
        return isinstance(value, FunctionType) and value.__code__ is called


_KNOWN: dict[int, Known] = {}


def known(frame: FrameType) -> Known:
    """Of the code of a frame."""
    found = _KNOWN.get(id(frame.f_code))
    if found is None:
        found = _KNOWN[id(frame.f_code)] = Known(frame.f_code, frame.f_globals)
    return found


def _looks_at(code: CodeType, module: dict[str, Any]) -> str:
    """The first variable of its module that code looks at and that can change; or ""."""
    for holder in _holders(code, module):
        if isinstance(holder, type) and issubclass(holder, Transparent):
            continue  # which keeps nothing that can change (constant.py)
        for name in code.co_names:
            if changing(vars(holder).get(name)):
                return f"{holder.__name__}.{name}"
    names = {name for name in code.co_names if changing(module.get(name))}
    if not names:  # to tell them from attributes takes longer
        return ""
    looks = (each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL")
    return next((str(name) for name in looks if name in names), "")


def _keeps_in(code: CodeType, module: dict[str, Any]) -> list[tuple[Any, str]]:
    """The attributes of classes and modules that code may assign to."""
    holders = _holders(code, module)
    if not holders or _STORE_ATTR not in code.co_code[::2]:
        return []
    stores = (each for each in dis.get_instructions(code) if each.opcode == _STORE_ATTR)
    names = dict.fromkeys(str(each.argval) for each in stores)
    return [(holder, name) for holder in holders for name in names]


def _holders(code: CodeType, module: dict[str, Any]) -> list[type | ModuleType]:
    """The classes and modules that code names."""
    named = (module.get(name) for name in code.co_names)
    return [each for each in named if isinstance(each, type | ModuleType)]


def _place_of(code: CodeType, offset: int) -> int:
    place, before = 0, ""
    for instruction in dis.get_instructions(code):
        if instruction.offset > offset:
            break
        if before != "PRECALL":
            place = instruction.offset
        before = instruction.opname
    return place


def _callee(code: CodeType, place: int) -> str:
    """The name by which the instruction at a place calls a function, or ANY; "" for none."""
    instructions = list(dis.get_instructions(code))
    at = next(n for n, each in enumerate(instructions) if each.offset == place)
    here = instructions[at]
    if here.opname in _ONCE or here.opname.startswith("POP_JUMP"):
        return ANY
    if here.opname not in ("PRECALL", "CALL") or here.arg is None:
        return ""
    above = here.arg  # values on the stack that lie above the function
    for each in reversed(instructions[:at]):
        if each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
            return ""
        if above == 0 and each.opname not in _NO_FUNCTION:
            return str(each.argval)
        if above < 0 or each.is_jump_target:
            return ""
        if above:
            above -= dis.stack_effect(each.opcode, each.arg)
    return ""
