"""Rules that are checked where they can be broken: contracts of functions, and of leaves.

Rules about the whole state are `invariant`s, from the engine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pfnlab.engine.declared import must_take, must_yield
from pfnlab.engine.program import Rule, rule_of

CONTRACTS: dict[str, Rule] = {}


def contract(number: str, name: str, sentence: str, source: str) -> Rule:
    """A rule that a function of the model checks when it is called."""
    rule = Rule(name, sentence, number, source)
    CONTRACTS[name] = rule
    return rule


@dataclass(frozen=True)
class LeafRule:
    """A rule about every leaf at the moment it is installed; it yields evidence."""

    rule: Rule
    check: Callable[[Any, Any, Any], Iterator[object]]


def leaf_rule(function: Callable[[Any, Any, Any], Iterator[object]]) -> LeafRule:
    """Make a rule of a generator that gets (lab, vma, leaf).  A decorator; see rule_of()."""
    rule = rule_of(function, "leaf rule")
    must_take(function, f"leaf rule {rule.name}", "lab", "vma", "leaf")
    must_yield(function, f"leaf rule {rule.name}")
    return LeafRule(rule, function)
