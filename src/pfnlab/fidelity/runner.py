"""Makes and takes back the steps of a program whose tasks log, over tries.

As the search of the explorer, but without rules, clocks of events and races: only what a task
logs is of interest.  A task that has logged something waits until that was matched, as its next
step comes after it.
"""

from typing import Any

from pfnlab.engine import operation as op_
from pfnlab.engine.execution import Execution
from pfnlab.engine.fire import fire, plain, ready
from pfnlab.engine.operation import Operation
from pfnlab.engine.store import Change
from pfnlab.explorer.trie import Node, Trie
from pfnlab.fidelity.probe import LISTEN, LOOK, Log

# The locks that a tracer watches; mmap_lock only in a fault on the device, or in the driver.
LOCKS = ("memory_lock", "vma_lock")
MMAP_LOCK = "mmap_lock"

BEGINS = {
    op_.LOCK: "w", op_.TRYLOCK: "w", op_.DOWN_READ: "r", op_.DOWN_READ_TRYLOCK: "r",
    op_.QUEUE_WRITE: "w", op_.DOWN_WRITE: "w", op_.DOWN_WRITE_TRYLOCK: "w",
}  # fmt: skip
TRIES = (op_.TRYLOCK, op_.DOWN_READ_TRYLOCK, op_.DOWN_WRITE_TRYLOCK)
ENDS = {op_.UNLOCK: "w", op_.UP_READ: "r", op_.UP_WRITE: "w"}


class Runner:
    """One execution, any part of which can be undone.

    logs  of each task: what it has logged since its last step, and nobody has matched
    """

    def __init__(self, execution: Execution) -> None:
        execution.rewind()
        self.execution = execution
        self.store = execution.store
        self.tries = [Trie(execution, task) for task in execution.program.tasks]
        self.nodes = [trie.root() for trie in self.tries]
        self.logs: list[tuple[Log, ...]] = [() for _ in self.tries]
        self.listens = [False for _ in self.tries]
        self.made: list[tuple[int, int]] = []  # task and option of each step
        self._before: list[tuple[int, Node, tuple[Log, ...], bool]] = []
        # of cells that were written: what they held in the first state, and a hash if that changed
        self._first: dict[int, Any] = {}
        self._hashes: dict[int, int] = {}
        self.changed = 0  # all of those

    def ready(self, task: int) -> bool:
        """Whether a task can make its next step now: all that it has logged was matched."""
        node = self.nodes[task]
        if self.logs[task] or node.code >= op_.PLAIN or not self.store.started[task]:
            return False
        # A loop that tries again may do so at any time: each round is in the trace.
        return node.code in (op_.RETRY, op_.START) or ready(self.store, node.op, task)

    def eager(self, task: int) -> bool:
        """Whether a step is best made early: others wait for it rather than would be disturbed.

        Not so to get a lock that others get before, and to find that a leaf has gone.
        """
        op = self.nodes[task].op
        return op.verb != LOOK and not (op.code in BEGINS and self._watched(task, op))

    def try_fails(self, task: int) -> bool:
        """Whether a task that wants mmap_lock would not get it now.

        The kernel's fault tries before it waits; the model's waits at once.
        """
        node = self.nodes[task]
        wants = node.code == op_.DOWN_READ and self._watched(task, node.op) == MMAP_LOCK
        return wants and not self.logs[task] and not ready(self.store, node.op, task)

    def try_again(self, task: int) -> None:
        """A try has failed: the task says once more what it wants."""
        self.logs[task] = tuple(self._ahead(task, self.nodes[task].op))

    def make(self, task: int, option: int = 0) -> None:
        """Make the step that a task has announced, and go on to its next one."""
        store, node = self.store, self.nodes[task]
        self.made.append((task, option))
        self._before.append((task, node, self.logs[task], self.listens[task]))
        store.begin_event()
        mark = store.marks[-1]
        result = None if node.code == op_.RETRY else fire(store, node.op, task, option)
        logs = self._after(task, node.op, result)
        node = self._next(task, node, result)
        while node.plain:
            if node.code == op_.MONITOR:
                heard: Log = node.op.value
                if heard.kind == LISTEN:
                    self.listens[task] = bool(dict(heard.args)["on"])
                else:
                    logs.append(heard)
                result = None
            else:
                result = plain(store, node.op, task)
            node = self._next(task, node, result)
        self.nodes[task] = node
        if node.code == op_.END:
            store.end(task)
        self.logs[task] = (*logs, *self._ahead(task, node.op))
        self._note(store.log[mark:])

    def undo(self, steps: int) -> None:
        """Take back all steps but the first so many."""
        while len(self.made) > steps:
            self.made.pop()
            task, self.nodes[task], self.logs[task], self.listens[task] = self._before.pop()
            cells = self.store.log[self.store.marks[-1] :]
            self.store.undo(len(self.store.marks) - 1)
            self._note(cells)

    def _next(self, task: int, node: Node, result: Any) -> Node:
        child = node.after(result)
        return child if child is not None else self.tries[task].child(node, result)

    def _note(self, entries: list[Any]) -> None:
        """Bring the digest of the state up to date with the cells of a part of the log."""
        store, first = self.store, self._first
        changes = [entry for entry in entries if isinstance(entry, Change)]
        first.update({each.number: each.was for each in changes if each.earlier is None})
        for cell in {each.number for each in changes}:
            value = store.values[cell]
            now = hash((cell, value)) if value != first[cell] else 0
            self.changed ^= self._hashes.get(cell, 0) ^ now
            self._hashes[cell] = now

    # ---- locks

    def _watched(self, task: int, op: Operation) -> str:
        lock_class = getattr(op.target, "lock_class", "")
        name = str(lock_class).rpartition(".")[2]
        return name if name in LOCKS or (name == MMAP_LOCK and self.listens[task]) else ""

    def _ahead(self, task: int, op: Operation) -> list[Log]:
        """What is logged before a step: that a lock is wanted, or that it will be released."""
        begins, ends = BEGINS.get(op.code), ENDS.get(op.code)
        if (begins or ends) and (lock := self._watched(task, op)):
            # A fair writer that waits has said so when it queued.
            if begins and not (op.code == op_.DOWN_WRITE and lock == MMAP_LOCK):
                return [Log("lock.want", (("lock", lock), ("mode", begins)))]
            if ends:
                return [Log("unlock", (("lock", lock), ("mode", ends)))]
        return []

    def _after(self, task: int, op: Operation, result: Any) -> list[Log]:
        """What is logged behind a step: that a lock was got, or not."""
        mode = "r" if op.code == op_.DOWNGRADE else BEGINS.get(op.code)
        lock = self._watched(task, op) if mode else ""
        if not lock or (op.code == op_.QUEUE_WRITE and not result):
            return []
        failed = not result and op.code in TRIES
        return [Log("lock.failed" if failed else "lock", (("lock", lock), ("mode", mode)))]
