"""Small random programs over every event that the engine knows, and the code that runs them.

A program is data; `random_program` makes one of a random.Random, or of hypothesis' own.  Each
takes only some kinds of events, so that those meet.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from pfnlab.engine import (
    Program,
    Shared,
    begin_trying,
    choose,
    compare_exchange,
    completion,
    condition,
    done_trying,
    fatal_signal_pending,
    field,
    invariant,
    join,
    kill,
    mutex,
    rw_semaphore,
    start,
    try_again,
    update,
    wait_event,
    word,
)
from pfnlab.engine.access import atomically, look_at_all
from pfnlab.engine.signal import signal_of
from pfnlab.engine.word import words

Statement = tuple[Any, ...]
Code = list[Statement]

# What takes a lock, what lets it go, and which locks it is for.
SECTIONS = {
    "lock": ("lock", "unlock", "m"),
    "trylock": ("trylock", "unlock", "m"),
    "read": ("down_read", "up_read", "sf"),
    "write": ("down_write", "up_write", "sf"),
    "read_try": ("down_read_trylock", "up_read", "sf"),
    "write_try": ("down_write_trylock", "up_write", "sf"),
    "read_kill": ("down_read_killable", "up_read", "sf"),
    "write_kill": ("down_write_killable", "up_write", "sf"),
    "twice": ("down_read", "up_read", "sf"),
}
MEMORY = ["read", "write", "add", "swap", "both", "if"]
PROFILES: dict[str, list[str]] = {
    "memory": MEMORY,
    "collection": ["put", "look", "read", "write", "if", "swap"],
    "mutex": ["lock", "lock", "read", "write", "field"],
    "trylock": ["lock", "trylock", "trylock", "read", "write"],
    "semaphore": ["read_", "write_", "twice", "read", "write"],
    "semaphore tried": ["read_", "write_", "read_try", "write_try", "write", "read"],
    "killable": ["read_kill", "write_kill", "read_", "write_", "kill", "signal", "write"],
    "waits": ["wait", "wait", "write", "add", "read", "lock"],
    "completions": ["done", "done_all", "await", "await", "asked", "write", "read"],
    "conditions": ["cond", "cond", "wake", "wake_all", "lock", "write"],
    "tasks": ["join", "write", "read", "lock", "wait"],
    "retries": ["spin", "spin_lock", "write", "lock", "add"],
    "choices": ["choose", "choose", "read", "write", "lock", "trylock", "wait"],
    "all": [
        *MEMORY, "put", "look", "lock", "trylock", "read_", "write_", "twice", "read_try",
        "write_try", "read_kill", "write_kill", "kill", "signal", "wait", "done", "done_all",
        "await", "asked", "cond", "wake", "wake_all", "join", "choose", "field",
    ],
}  # fmt: skip
SIZES = {2: 7, 3: 4, 4: 3}


class RandomProgram:
    """Tasks as data, and how to build them."""

    def __init__(
        self, code: list[Code], lazy: frozenset[int] = frozenset(), ruled: bool = False
    ) -> None:
        self.code = code
        self.lazy = lazy
        self.ruled = ruled

    @property
    def retries(self) -> bool:
        return "spin" in repr(self.code)

    def __call__(self, program: Any) -> None:
        memory = program.memory = Memory()
        for place, code in enumerate(self.code):
            program.add_task(f"t{place}", task_of(memory, code), lazy=place in self.lazy)
        for task in program.tasks:
            signal_of(task)
        if self.ruled:
            program.always(never_both)

    def __repr__(self) -> str:
        return f"RandomProgram({self.code}, {self.lazy}, {self.ruled})"


class Lab(Program):
    memory: Any


class Memory(Shared):
    x = word(0)
    y = word(0)
    pool = words()
    f = field(0, guarded_by="m1")
    m1 = mutex()
    m2 = mutex()
    s1 = rw_semaphore()
    s2 = rw_semaphore()
    f1 = rw_semaphore(fair=True)
    f2 = rw_semaphore(fair=True)
    done = completion()
    queue = condition()


@invariant
def never_both(lab: Any) -> Iterator[str]:
    """x and y are never 2 at the same time."""
    if lab.memory.x == 2 and lab.memory.y == 2:
        yield "both are 2"


class _Writer:
    """Writes the code of one program."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.kinds = PROFILES[chance.choice(sorted(PROFILES))]
        tasks = chance.choice([2, 2, 3, 3, 3, 4])
        self.tasks = tasks
        self.words = ["x", "y"][: chance.randint(1, 2)]
        self.locks = chance.choice([["m1", "s1"], ["m1", "f1"], ["m1", "m2", "s1", "f1", "s2"]])
        self.lazy = frozenset({tasks - 1}) if "join" in self.kinds else frozenset()
        size = SIZES[tasks]
        self.code = [self.block(chance.randint(1, size), ()) for _ in range(tasks)]
        if self.lazy and chance.random() < 0.95:
            starter = self.code[chance.randrange(tasks - 1)]
            starter.insert(chance.randint(0, len(starter)), ("start", f"t{tasks - 1}"))

    def block(self, size: int, held: tuple[str, ...]) -> Code:
        out: Code = []
        while size > 0:
            statement, took = self.statement(self.chance.choice(self.kinds), size, held)
            if statement:
                out.append(statement)
            size -= took
        return out

    def statement(self, kind: str, size: int, held: tuple[str, ...]) -> tuple[Statement, int]:
        chance, any_word = self.chance, self.chance.choice(self.words)
        if kind in ("read", "look", "both", "signal", "wake", "wake_all", "done",
                    "done_all", "asked", "await"):  # fmt: skip
            return (kind, any_word), 1
        if kind in ("write", "add", "wait", "spin"):
            return (kind, any_word, chance.randint(0, 2)), 1
        if kind == "swap":
            return (kind, any_word, chance.randint(0, 1), chance.randint(0, 2)), 1
        if kind == "put":
            return (kind, chance.choice("ab"), chance.randint(1, 2)), 1
        if kind in ("kill", "join"):
            return (kind, f"t{chance.randrange(self.tasks)}"), 1
        if kind in ("if", "choose"):
            return (kind, any_word, self.block(min(1, size - 1), held)), 2
        if kind == "field":
            return (kind, chance.choice(["get", "set"])) if "m1" in held else (), 1
        if kind in ("cond", "spin_lock"):
            if "m1" in held:
                return (("cond_wait",) if kind == "cond" else ()), 1
            inner = self.block(chance.randint(0, 1), (*held, "m1"))
            return (kind, inner), 3 + len(inner)
        return self.section(kind.rstrip("_"), size, held)

    def section(self, kind: str, size: int, held: tuple[str, ...]) -> tuple[Statement, int]:
        chance = self.chance
        names = [
            name
            for name in self.locks
            if name[0] in SECTIONS[kind][2] and (name not in held or kind == "twice")
        ]
        if not names or size < 2:
            return (), 1
        name = chance.choice(names)
        inner = self.block(chance.randint(0, min(2, size - 2)), (*held, name))
        tail = chance.random()
        end = "kept" if tail < 0.06 else "downgrade" if tail < 0.2 and "write" in kind else ""
        return ("section", kind, name, inner, end), 2 + len(inner)


def random_program(chance: random.Random) -> RandomProgram:
    made = _Writer(chance)
    ruled = made.words == ["x", "y"] and chance.random() < 0.3
    return RandomProgram(made.code, made.lazy, ruled)


# ---- running them


def task_of(memory: Memory, code: Code) -> Callable[[], None]:
    return lambda: _run(memory, code)


def _run(memory: Memory, code: Code) -> None:
    for statement in code:
        _statement(memory, statement)


def _statement(memory: Memory, statement: Statement) -> None:
    match statement:
        case ("read", name):
            getattr(memory, name)
        case ("write", name, value):
            setattr(memory, name, value)
        case ("add", name, number):
            update(memory, name, lambda old: (old + number) % 3)
            number = 0  # which changes nothing of the step
        case ("swap", name, old, new):
            compare_exchange(memory, name, old, new)
        case ("both", _):
            cells = (Memory.x.cell(memory), Memory.y.cell(memory))
            atomically(cells, "both", lambda old: ((old[1], old[0]), old))
        case ("put", key, value):
            atomically((memory.pool.cell(key, key),), "put", lambda _: ((value,), None))
        case ("look", _):
            look_at_all(
                memory.pool.collection, "look", lambda values: tuple(sorted(v for v in values if v))
            )
        case ("if", name, inner):
            if getattr(memory, name):
                _run(memory, inner)
        case ("choose", _, inner):
            if choose((0, 1)):
                _run(memory, inner)
        case ("field", "get"):
            assert memory.f in (0, 1, 2)
        case ("field", "set"):
            memory.f = (memory.f + 1) % 3
        case ("section", kind, name, inner, end):
            _section(kind, getattr(memory, name), lambda: _run(memory, inner), end)
        case _:
            _wait_or_wake(memory, statement)


def _wait_or_wake(memory: Memory, statement: Statement) -> None:
    match statement:
        case ("wait", name, value):
            wait_event(memory, name, lambda now: now == value)
            value = -1
        case ("done", _):
            memory.done.complete()
        case ("done_all", _):
            memory.done.complete_all()
        case ("asked", _):
            memory.done.completion_done()
        case ("await", _):
            memory.done.wait_for_completion()
        case ("cond", inner):
            with memory.m1:
                _run(memory, inner)
                memory.queue.wait(memory.m1)
        case ("cond_wait",):
            memory.queue.wait(memory.m1)
        case ("wake", _):
            memory.queue.wake_up()
        case ("wake_all", _):
            memory.queue.wake_up_all()
        case ("kill", name):
            kill(name)
        case ("signal", _):
            fatal_signal_pending()
        case ("start", name):
            start(name)
        case ("join", name):
            join(name)
        case ("spin", name, value):
            begin_trying()
            while getattr(memory, name) != value:
                try_again()
            done_trying()
        case ("spin_lock", inner):
            begin_trying()
            while not memory.m1.trylock():
                try_again()
            done_trying()
            _run(memory, inner)
            memory.m1.unlock()
        case _:
            raise ValueError(statement)


def _section(kind: str, lock: Any, inner: Callable[[], None], end: str) -> None:
    take, drop, _locks = SECTIONS[kind]
    taken = getattr(lock, take)()
    if taken is False:
        return
    inner()
    if end == "downgrade":
        lock.downgrade_write()
        drop = "up_read"
    if end != "kept":
        getattr(lock, drop)()
