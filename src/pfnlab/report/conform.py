"""Whether a trace is possible on the model, as text and as data."""

from collections.abc import Mapping
from typing import Any

from pfnlab.fidelity.conform import Conformity, Instead, arguments_text
from pfnlab.host.events import Event
from pfnlab.report.counterexample import wrapped
from pfnlab.report.layout import many

BEFORE = 6  # events that are shown before one that is impossible
VERDICTS = {True: "possible", False: "impossible", None: "incomplete"}


def conformity_text(path: str, found: Conformity) -> str:
    """One paragraph, or where the trace and the model part, with both sides."""
    head = f"{path} on {found.design}, {found.kernel}: "
    if found.failed is not None and found.possible is not None:
        line = _line(found, found.failed)
        return "\n".join([f"{head}IMPOSSIBLE at line {line}", "", *_parted(found, found.failed)])
    if found.possible is None:
        return wrapped(
            f"{head}incomplete. {many(sum(found.matched.values()), 'event')} can be followed; the "
            "search for a way on was given up."
        )
    lines = [
        f"{head}possible",
        wrapped(f"followed: {_counted(found.matched, found)}"),
    ]
    if found.ignored:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.ignored.items()))
        lines.append(wrapped(f"not in the model: {kinds}"))
    return "\n".join(lines)


def _counted(matched: Mapping[str, int], found: Conformity) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(matched.items()))
    events, threads = many(sum(matched.values()), "event"), many(len(found.threads), "thread")
    return f"{events} of {threads}: {kinds}"


def _parted(found: Conformity, failed: int) -> list[str]:
    events = found.trace.events
    event = events[failed]
    width = len(str(_line(found, failed)))
    lines = ["  The kernel did:"]
    for place in range(max(0, failed - BEFORE), failed + 1):
        mark = ">" if place == failed else " "
        lines.append(f"  {mark} {_line(found, place):>{width}}  {event_text(events[place])}")
    lines += ["", f"  The model's thread {event.tid} cannot do that.  It could:"]
    texts = [_instead(each) for each in found.instead]
    room = max(len(text) for text in texts)
    lines += [
        f"      {text:<{room}}  {each.site}".rstrip()
        for text, each in zip(texts, found.instead, strict=True)
    ]
    held = [
        (f"{hold.task}  {hold.lock}", f"{hold.mode:<5}", hold.site)
        for hold in found.instead[0].holds
    ]
    if held:
        room = max(len(name) for name, _mode, _site in held)
        lines += ["", "  Held in the model:"]
        lines += [f"      {name:<{room}}  {mode}  {site}".rstrip() for name, mode, site in held]
    return lines


def _instead(instead: Instead) -> str:
    if instead.waits:
        return f"wait in {instead.what}"
    return instead.what or "nothing more: it has done all that the trace shows of it"


def event_text(event: Event) -> str:
    """ "10.845972  160  insert          pud 0x7f1fc0000000 pfn=0x100000 size=0x40000000"."""
    args = arguments_text(event.args)
    return f"{event.seconds:.6f}  {event.tid}  {event.kind:<14}  {args}".rstrip()


def _line(found: Conformity, place: int) -> int:
    lines = found.trace.lines
    return lines[place] if lines else place + 1


def conformity_data(path: str, found: Conformity) -> dict[str, Any]:
    """docs/json.md describes it."""
    data: dict[str, Any] = {
        "trace": path,
        "design": found.design,
        "kernel": found.kernel,
        "verdict": VERDICTS[found.possible],
        "threads": len(found.threads),
        "followed": dict(sorted(found.matched.items())),
        "not_in_the_model": dict(sorted(found.ignored.items())),
    }
    if found.failed is not None:
        event = found.trace.events[found.failed]
        data["line"] = _line(found, found.failed)
        data["event"] = {"tid": event.tid, "ev": event.kind, "args": dict(event.args)}
        data["instead"] = [
            {
                "does": each.what,
                "waits": each.waits,
                "site": each.site,
                "holds": [
                    {"task": hold.task, "lock": hold.lock, "mode": hold.mode, "site": hold.site}
                    for hold in each.holds
                ],
            }
            for each in found.instead
        ]
    return data
