"""What each operation does to the shared state, and whether it can happen now."""

from typing import Any, NamedTuple

from pfnlab.engine import operation as op_
from pfnlab.engine.alike import alike
from pfnlab.engine.errors import ModelError
from pfnlab.engine.label import ADD, NOTHING, READ, WRITE, Label
from pfnlab.engine.operation import Operation, Raised
from pfnlab.engine.store import Store


class Holders(NamedTuple):
    """The value of a rw_semaphore, by indices of tasks: who writes, who reads, who waits in front.

    Readers commute, so who came first leaves no trace: they are sorted.
    """

    writer: int | None = None
    readers: tuple[int, ...] = ()
    queued: tuple[int, ...] = ()


FREE = Holders()


def _with(tasks: tuple[int, ...], task: int) -> tuple[int, ...]:
    return tuple(sorted((*tasks, task))) if tasks else (task,)


def _without(tasks: tuple[int, ...], task: int) -> tuple[int, ...]:
    if len(tasks) < 2:
        return ()
    place = tasks.index(task)
    return (*tasks[:place], *tasks[place + 1 :])


def free_to_read(held: Holders, task: int) -> bool:
    if held.writer is not None:
        return False
    for other in held.queued:
        if other != task:
            return False
    return True


def free_to_write(held: Holders) -> bool:
    return held.writer is None and not held.readers


def ready(store: Store, op: Operation, task: int) -> bool:
    """Whether an operation can happen now."""
    code = op.code
    if code < op_.LOCK:
        return True
    if code == op_.LOCK:
        return store.values[op.number] is None
    if code == op_.DOWN_READ or code == op_.DOWN_WRITE:
        held: Holders = store.values[op.number]
        free = free_to_read(held, task) if code == op_.DOWN_READ else free_to_write(held)
        return free or (op.signal >= 0 and bool(store.values[op.signal]))
    if code == op_.WAIT:
        return _holds(op, store.values[op.number])
    if code == op_.COND_WAKE:
        return store.values[op.number] is None and task not in store.values[op.cells[0]]
    if code == op_.RETRY:
        changed = store.waiting[task]
        return changed is not None and changed()
    if code == op_.JOIN:
        return store.ended[op.number]
    return code < op_.PLAIN


def _holds(op: Operation, value: Any) -> bool:
    """Whether a condition is true; also where it raises, as its task comes to do that then."""
    assert op.ready is not None
    try:
        return bool(op.ready(value))
    except Exception:
        return True


def fire(store: Store, op: Operation, task: int, choice: int) -> Any:
    """Make a visible step; its label is in store.label afterwards.  Returns the result."""
    code, number = op.code, op.number
    clocks = store.plain and task >= 0
    store.label = op.label
    if code >= op_.LOCK:
        return _lock(store, op, task, clocks) if code < op_.WAIT else _wait(store, op, task, clocks)
    if code == op_.READ:
        if clocks:
            store.learn(task, store.sync[number])
        return store.values[number]
    if code == op_.WRITE:
        if clocks:
            store.learn(task, store.sync[number])
            store.publish(task, number)
        store.write(number, op.value)
        return None
    if code == op_.ATOMIC:
        return _atomic(store, op, op.cells, task, clocks)
    return None if code == op_.START else _memory(store, op, task, choice)


def _atomic(store: Store, op: Operation, cells: tuple[int, ...], task: int, clocks: bool) -> Any:
    """Read all words, write those that change; who sees no difference counts as a reader."""
    assert op.act is not None
    before = tuple([store.values[cell] for cell in cells])
    try:
        if op.ready is not None:
            op.ready(before[0])
        after, result = op.act(before)
    except Exception as error:
        after, result = before, Raised(error)
    changed = 0
    place = 0
    for old, new in zip(before, after, strict=True):
        if new is not old and not alike(old, new):
            changed |= 1 << place
        place += 1
    label = op.labels.get(changed)
    if label is None:
        label = op.labels[changed] = atomic_label(store, op, cells, changed)
    store.label = label
    if clocks:
        for cell in cells:
            store.learn(task, store.sync[cell])
    if changed:
        place = 0
        for cell in cells:
            if changed >> place & 1:
                store.write(cell, after[place])
            place += 1
        if clocks:
            mine = store.clocks[task]
            for cell in label_writes(label):
                store.hand_over(cell, mine)
            store.advance(task)
    return result


def atomic_label(store: Store, op: Operation, cells: tuple[int, ...], changed: int) -> Label:
    """Of a step on some words that has changed those whose bits are set."""
    modes: dict[int, int] = {}
    for place, cell in enumerate(cells):
        if changed >> place & 1:
            modes[cell] = WRITE
            if store.collection[cell] >= 0:
                modes[store.collection[cell]] = ADD
        else:
            modes.setdefault(cell, READ)
    return Label(tuple(modes.items()), blocking=op.code == op_.WAIT)


def label_writes(label: Label) -> list[int]:
    return [number for number, mode in label.accesses if mode == WRITE]


def _memory(store: Store, op: Operation, task: int, choice: int) -> Any:
    number = op.number
    if op.code == op_.REPLACE or op.code == op_.RACY:
        old = store.values[number]
        store.race = None
        if op.code == op_.REPLACE and task >= 0:
            store.race = store.access(task, number, True)
            if op.value:  # also read without its lock, by who then sees what it holds
                store.publish(task, number)
        if op.act is not None:
            store.write(number, op.act(old))
        return old
    if op.code == op_.LOOK:
        assert op.act is not None
        return op.act(tuple([store.values[cell] for cell in store.members.get(number, [])]))
    return op.value[choice]  # CHOOSE


def _lock(store: Store, op: Operation, task: int, clocks: bool) -> Any:
    code, number = op.code, op.number
    if code == op_.LOCK or code == op_.TRYLOCK:
        if store.values[number] is not None:
            store.label = op.failed
            return False
        store.write(number, task)
        if clocks:
            store.learn(task, store.sync[number])
        return True
    if code == op_.UNLOCK:
        store.write(number, None)
        if clocks:
            store.publish(task, number)
        return None
    held: Holders = store.values[number]
    if code == op_.DOWN_READ or code == op_.DOWN_READ_TRYLOCK:
        if not free_to_read(held, task):
            return _gave_up(store, op, held, task)
        store.write(number, Holders(None, _with(held.readers, task), held.queued))
        if clocks:
            store.learn(task, store.sync[number])
        return True
    if code == op_.UP_READ:
        store.write(number, Holders(held.writer, _without(held.readers, task), held.queued))
        if clocks:
            store.publish_read(task, number)
        return None
    if code == op_.UP_WRITE or code == op_.DOWNGRADE:
        readers = held.readers if code == op_.UP_WRITE else _with(held.readers, task)
        store.write(number, Holders(None, readers, held.queued))
        if clocks:
            store.publish(task, number)
        return None
    if not free_to_write(held):
        return _gave_up(store, op, held, task)
    queued = _without(held.queued, task) if task in held.queued else held.queued
    store.write(number, Holders(task, (), queued))
    if clocks:
        store.learn(task, store.sync[number])
        store.learn(task, store.readers[number])
    return True


def _gave_up(store: Store, op: Operation, held: Holders, task: int) -> bool:
    """A trylock that fails, a writer that has to wait, or a wait that a signal has ended."""
    store.label = op.failed
    if op.code == op_.QUEUE_WRITE:
        store.write(op.number, held._replace(queued=_with(held.queued, task)))
    elif task in held.queued:
        store.write(op.number, held._replace(queued=_without(held.queued, task)))
    return False


def _wait(store: Store, op: Operation, task: int, clocks: bool) -> Any:
    code, number = op.code, op.number
    if code == op_.WAIT:
        return _atomic(store, op, (number,), task, clocks)
    if code == op_.COND_WAIT:
        store.write(number, None)
        queue = op.cells[0]
        store.write(queue, (*store.values[queue], task))
        if clocks:
            store.publish(task, number)
        return None
    if code == op_.COND_WAKE:
        store.write(number, task)
        if clocks:
            store.learn(task, store.sync[number])
            store.learn(task, store.sync[op.cells[0]])
        return None
    if code == op_.SPAWN:
        if store.started[number]:
            name = op.detail(None) if op.detail is not None else ""
            what = f"start({name!r}): it was started before, and begins only once"
            return Raised(ModelError(what))
        store.start(number, task)
        return None
    if code == op_.JOIN:
        if clocks:
            store.learn(task, store.clocks[number])
        return None
    store.label = store.retry_label(task)
    return None


def plain(store: Store, op: Operation, task: int) -> Any:
    """Make a plain access; store.race is what it races with.  Returns the result."""
    code, number = op.code, op.number
    store.race = None
    if code == op_.INIT:
        for cell, value in zip(op.cells, op.value, strict=True):
            store.fresh(cell)
            store.write(cell, value)
        return None
    if code == op_.MONITOR:
        return None
    value = store.values[number]
    if code == op_.PEEK or task < 0:
        if code == op_.PLAIN_WRITE:
            assert op.act is not None
            store.write(number, op.act(value))
        return value
    store.race = store.access(task, number, code == op_.PLAIN_WRITE)
    if code == op_.PLAIN_WRITE:
        assert op.act is not None
        store.write(number, op.act(value))
    return value


def pending_label(store: Store, op: Operation, task: int) -> Label:
    """The label to assume for a wait that goes on."""
    if op.code == op_.RETRY:
        return store.retry_label(task)
    return op.label


__all__ = ["FREE", "NOTHING", "Holders", "atomic_label", "fire", "free_to_read", "free_to_write",
           "pending_label", "plain", "ready"]  # fmt: skip
