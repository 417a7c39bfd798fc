"""A counterexample as text that can be pasted into a mail.

ASCII, at most 100 columns, or those of the terminal.  One column per task; time runs down; the
source line is at the right.  With more than three tasks, or long lines, the task stands in front
instead.
"""

import shlex
import textwrap

from pfnlab.engine.record import TraceStep
from pfnlab.explorer.repeats import repeats_from
from pfnlab.explorer.result import Finding, Note, Result, Trace, after_schedules
from pfnlab.report.layout import line_width, many

MOST_COLUMNS = 3
LEAST = 16  # of a step that are shown, however long the places are
LONG = 1_000  # steps, of which tasks rarely have so many that do not go round in a circle
MOST_ROUNDS = 3  # of a loop that are shown, one after the other,
MOST_OTHERS = 20  # and of one whose rounds read and write other values
FELL_BACK = """\
Not all that was to be tried could be planned as whole sequences, so some steps were planned one by
one: the search is as complete, and ran more schedules than it takes."""
_STICKY = "\x1f"  # a space at which no line is broken


def result_text(
    result: Result,
    scenario: str,
    design: str,
    *,
    specs: tuple[str, str] | None = None,
    flags: tuple[str, ...] = (),
    all_findings: bool = False,
) -> str:
    """What `pfnlab check DESIGN SCENARIO` prints.

    `specs` are the design and scenario as the user named them, `flags` what else it
    takes to see the same again: both for the replay command.
    """
    title = title_text(design, scenario)
    if not result.findings:
        said = [wrapped(FELL_BACK)] if result.fell_back else []
        return "\n".join([verdict_text(result, title), *said, *map(note_text, result.notes)])
    shown = result.findings if all_findings else result.findings[:1]
    texts = []
    for finding in shown:
        texts.append(titled_text(title, finding))
    texts.append(_counts(result, len(shown)))
    if specs is not None:
        for finding in shown:
            texts.append(f"  Replay: {replay_command(*specs, finding.schedule, flags)}")
        texts[-len(shown) - 1 :] = ["\n".join(texts[-len(shown) - 1 :])]
    if result.notes:
        texts.append("\n".join(map(note_text, result.notes)))
    return "\n\n".join(texts)


def title_text(design: str, scenario: str) -> str:
    """What a verdict is about; a program without a kernel has no design."""
    return f"{scenario} on {design}" if design else scenario


def verdict_text(result: Result, title: str) -> str:
    """The verdict alone, without what was found."""
    if result.error:
        return f"{title}: error"
    if result.findings:
        return f"{title}: FAIL  {result.findings[0].violation.rule}"
    return textwrap.fill(f"{title}: {_no_finding(result)}", line_width(), subsequent_indent="  ")


def note_text(note: Note) -> str:
    """A known exception: "note R26: ...", what was seen, and where."""
    name = note.rule.number or note.rule.name
    text = " ".join((note.rule.sentence, *(f"{line}." for line in note.evidence)))
    return wrapped(f"note {name}: {text} Schedule: {note.schedule}")


def replay_command(design: str, scenario: str, schedule: str, flags: tuple[str, ...] = ()) -> str:
    which = [design, scenario] if design else [scenario]
    return shlex.join(["pfnlab", "replay", *which, schedule, *flags])


def titled_text(title: str, finding: Finding) -> str:
    """One finding; or an error, where a schedule was followed again."""
    what = "error" if finding.is_error else f"FAIL  {finding.violation.rule}"
    return f"{title}: {what}\n\n{finding_text(finding)}"


def finding_text(finding: Finding) -> str:
    """One finding, without its title."""
    trace = finding.trace
    parts = [_reason(finding)]
    if trace.steps:
        parts.append(_steps(trace, finding.violation.rule))
    if len(trace.call_trace) > 1:
        parts.append(_call_trace(trace))
    notes = _notes(trace)
    if notes:
        parts.append(notes)
    return "\n\n".join(parts)


def _reason(finding: Finding) -> str:
    return "\n".join(
        wrapped(line) for line in (finding.violation.sentence, *finding.violation.evidence)
    )


def wrapped(line: str) -> str:
    """A line of text under a title, in as many lines as it takes."""
    return textwrap.fill(
        line, line_width(), initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    ).replace(_STICKY, " ")


def _steps(trace: Trace, rule: str) -> str:
    tasks = [name for name in trace.tasks if any(step.task == name for step in trace.steps)]
    widths = {
        name: max(len(name), *(len(_step_text(s)) for s in trace.steps if s.task == name))
        for name in tasks
    }
    sites = max(len(step.site) for step in trace.steps)
    if (
        len(tasks) <= MOST_COLUMNS
        and 8 + sum(widths.values()) + 2 * len(tasks) + sites <= line_width()
    ):
        lines = _columns(trace.steps, tasks, widths, rule)
    else:
        lines = _prefixed(trace.steps, rule)
    return "\n".join(line.rstrip() for line in _without_repeats(trace.steps, lines))


def _without_repeats(steps: tuple[TraceStep, ...], lines: list[str]) -> list[str]:
    """The lines of steps, a loop that goes on and on once only."""
    for most, again in (MOST_ROUNDS, "again"), (MOST_OTHERS, "again with other values"):
        begin, length = repeats_from(steps, values=most == MOST_ROUNDS)
        end = begin + length
        times, left = divmod(len(steps) - end, length) if length else (0, 0)
        if times >= most:
            first, last = steps[begin].number, steps[end - 1].number
            which = f"step {first}" if first == last else f"steps {first} to {last}"
            line = f"        {which} {again}, {times:,} times"
            # The first line is the head.
            return [*lines[: 1 + end], line, *lines[1 + len(steps) - left :]]
    return lines


def _columns(
    steps: tuple[TraceStep, ...],
    tasks: list[str],
    widths: dict[str, int],
    rule: str,
) -> list[str]:
    lines = ["  step  " + "  ".join(name.ljust(widths[name]) for name in tasks)]
    for step in steps:
        cells = [
            (_step_text(step) if name == step.task else "").ljust(widths[name]) for name in tasks
        ]
        lines.append(f"  {_number(step)}  {'  '.join(cells)}  {step.site}")
    before = sum(widths[name] + 2 for name in tasks[: tasks.index(steps[-1].task)])
    lines.append(" " * (8 + before) + f"^ {rule}")
    return lines


def _prefixed(steps: tuple[TraceStep, ...], rule: str) -> list[str]:
    name = max(len("task"), *(len(step.task) for step in steps))
    sites = max(len(step.site) for step in steps)
    room = max(LEAST, line_width() - 12 - name - sites)
    width = min(room, max(len(_step_text(step)) for step in steps))
    lines = ["  step  " + "task".ljust(name)]
    for step in steps:
        text = _step_text(step)
        if len(text) > width:
            text = text[: width - 3] + "..."
        lines.append(
            f"  {_number(step)}  {step.task.ljust(name)}  {text.ljust(width)}  {step.site}"
        )
    lines.append(" " * (10 + name) + f"^ {rule}")
    return lines


def _number(step: TraceStep) -> str:
    """The number of a step; an access that is no step of a schedule has none."""
    return f"{step.number or '':4}"


def _step_text(step: TraceStep) -> str:
    return f"{step.verb}  {step.detail}".rstrip()


def _call_trace(trace: Trace) -> str:
    """Functions, each indented under its caller; a place only where the file changes hands."""
    lines = ["  call trace"]
    frames = trace.call_trace
    width = max(len(frame.function) + depth for depth, frame in enumerate(frames))
    for depth, frame in enumerate(frames):
        text = f"     {' ' * depth}{frame.function}"
        lines.append(f"{text.ljust(7 + width)}{frame.site}")
    return "\n".join(lines)


def _notes(trace: Trace) -> str:
    lines = []
    for task in trace.tasks:
        held = trace.held.get(task, ())
        if held:
            texts = [
                f"{lock} ({f'{mode}, ' if mode else ''}step {step})".replace(" ", _STICKY)
                for lock, mode, step in held
            ]
            lines.append(wrapped(f"held by {task}: {', '.join(texts)}"))
    if trace.race is not None:
        by_number = {step.number: step for step in trace.steps}
        first, second = (by_number[number] for number in trace.race)
        lines.append(
            wrapped(
                f"race: steps {first.number} ({first.task}, {first.verb}) and {second.number} "
                f"({second.task}, {second.verb}) share no lock: either order can happen"
            )
        )
    return "\n".join(lines)


def _counts(result: Result, shown: int) -> str:
    parts = [_schedules(result)]
    parts.append(f"{result.failing} failing")
    text = "  " + ", ".join(parts)
    rules = len(result.findings)
    if rules > shown:
        shown_rules = {finding.violation.rule for finding in result.findings[:shown]}
        rest = [finding.violation.rule for finding in result.findings[shown:]]
        others = ", ".join(dict.fromkeys(rule for rule in rest if rule not in shown_rules))
        places = sum(rule in shown_rules for rule in rest)
        more = [f"also broken: {others}"] if others else []
        more += [f"also broken in {many(places, 'more place')}"] if places else []
        text += f"; {'; '.join(more)} (--all-findings)"
    elif result.failing > 1 and rules == 1:
        text += ", the shortest is shown"
    text += "."
    if not result.failing and result.walks:
        text += "\n" + wrapped(
            f"One of {many(result.walks, 'random walk')} has found it; "
            "the search has not come to it."
        )
    if not result.complete:
        text += "\n" + wrapped(
            f"The search did not finish ({result.why_incomplete}): others may be shorter."
        )
    if result.fell_back:
        text += "\n" + wrapped(FELL_BACK)
    return text


def _no_finding(result: Result) -> str:
    if result.complete:
        return (
            f"ok, every interleaving ({_schedules(result)}, at most {many(result.steps, 'step')})"
        )
    limit = result.why_incomplete == after_schedules(result.schedules)
    why = "the limit" if limit else result.why_incomplete
    seed = f", seed {result.seed}" if result.seed is not None else ""
    text = f"INCOMPLETE, {many(result.schedules, 'schedule')} without a failure ({why}{seed})"
    if result.steps >= LONG:
        text += f"; one has {result.steps:,} steps: is there a loop that others keep going?"
    return text


def _schedules(result: Result) -> str:
    text = f"{many(result.schedules, 'schedule')} run"
    if result.given_up:
        text += f" ({result.given_up} stopped early as equivalent)"
    return text
