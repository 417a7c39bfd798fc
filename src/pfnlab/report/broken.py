"""What broke, in short: labels of rules, which scenarios break which, what the labels mean."""

import re
import textwrap
from collections.abc import Iterable, Mapping

from pfnlab.engine.program import Rule
from pfnlab.explorer.result import Result
from pfnlab.report.layout import line_width, many

LABEL = 4  # characters of most labels
OK, OPEN, NOT_RUN, ERROR = "ok", "?", "not run", "error"
UNDECIDED = (OPEN, ERROR, NOT_RUN)  # neither ok nor a rule that broke

Rules = Mapping[str, Rule]  # those that are known, by name
Results = Mapping[str, Result | None]  # by scenario; None was not run: it was interrupted


def label(rule: str, rules: Rules) -> str:
    """The number of a rule; without one the last word of its name; of a user's the name."""
    known = rules.get(rule)
    if known is None:
        return rule
    return known.number or rule.rpartition("_")[2]


def outcome(result: Result | None, rules: Rules) -> str:
    """The label of the rule that broke, or "ok", "?", "error" or "not run"."""
    if result is None:
        return NOT_RUN
    if result.error:
        return ERROR
    if result.violation is not None:
        return label(result.violation.rule, rules)
    return OK if result.complete else OPEN


def in_order(labels: Iterable[str]) -> list[str]:
    """Each once: D1, R3, R12, then those that are words, then what is no rule."""

    def key(text: str) -> tuple[bool, bool, str, int, str]:
        number = re.fullmatch(r"([A-Z]+)(\d+)(\w*)", text)
        letters, digits, rest = number.groups() if number is not None else (text, "0", "")
        return text in UNDECIDED, number is None, letters, int(digits), rest

    return sorted(set(labels), key=key)


def scenarios_by_outcome(results: Results, rules: Rules) -> dict[str, list[str]]:
    """The scenarios that are not ok, by what became of them."""
    outcomes = {name: outcome(result, rules) for name, result in results.items()}
    return {
        text: [name for name, other in outcomes.items() if other == text]
        for text in in_order(outcomes.values())
        if text != OK
    }


def only_outcome(results: Results, rules: Rules) -> str:
    """What became of every one of these scenarios alike, and is not ok; else ""."""
    others = scenarios_by_outcome(results, rules)
    return next((text for text, names in others.items() if len(names) == len(results)), "")


def scenarios_text(results: Results, rules: Rules, indent: str) -> list[str]:
    """Lines "R31  revoke_one_page ...": the scenarios that are not ok, by label."""
    others = scenarios_by_outcome(results, rules)
    if only_outcome(results, rules):
        others = {text: ["every scenario"] for text in others}
    width = max(LABEL, *map(len, others), 0)
    return [
        _filled(" ".join(names), f"{indent}{text.ljust(width)}  ") for text, names in others.items()
    ]


def legend_text(results: Iterable[Result | None], rules: Rules) -> list[str]:
    """Lines "R31  name: sentence", for every rule that broke."""
    broken: dict[str, str] = {}
    for result in results:
        if result is not None and result.violation is not None:
            rule = result.violation.rule
            broken[rule] = rules[rule].sentence if rule in rules else result.violation.sentence
    labels = {rule: label(rule, rules) for rule in broken}
    order = in_order(labels.values())
    width = max(LABEL, *map(len, order), 0)
    lines = []
    for rule in sorted(broken, key=lambda rule: (order.index(labels[rule]), rule)):
        name = f"{rule}: " if labels[rule] != rule else ""
        lines.append(_filled(f"{name}{broken[rule]}", f"{labels[rule].ljust(width)}  "))
    return lines


def summary_text(results: Iterable[Result | None]) -> str:
    """One line on all checks."""
    every = list(results)
    ran = [result for result in every if result is not None]
    ok, failed, open_ = (
        sum(result.verdict == verdict for result in ran) for verdict in ("ok", "FAIL", "incomplete")
    )
    text = f"{ok} ok (every interleaving), {failed} failed"
    text += f", {open_} incomplete ({OPEN})" if open_ else ""
    wrong = sum(bool(result.error) for result in ran)
    text += f", {many(wrong, ERROR)}" if wrong else ""
    text += f", {len(every) - len(ran)} {NOT_RUN}" if len(ran) < len(every) else ""
    schedules = sum(result.schedules for result in ran)
    return f"{many(len(every), 'check')}, {many(schedules, 'schedule')}: {text}"


def _filled(text: str, begin: str) -> str:
    """A text in lines that fit, all but the first under the first's words."""
    return textwrap.fill(
        text, line_width(), initial_indent=begin, subsequent_indent=" " * len(begin),
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
