"""A rule that nothing breaks is not a rule."""

import importlib
import pkgutil

from pfnlab import engine
from pfnlab.engine.program import Rule
from pfnlab.engine.raised import ERROR
from pfnlab.kernel.rule import CONTRACTS
from pfnlab.rules import RULES
from tests import stories


def rules_of_the_engine() -> set[str]:
    modules = [
        importlib.import_module(f"pfnlab.engine.{info.name}")
        for info in pkgutil.iter_modules(engine.__path__)
    ]
    return {
        value.name for module in modules for value in vars(module).values()
        if isinstance(value, Rule) and value is not ERROR  # which says that the program is wrong
    }  # fmt: skip


def all_stories() -> dict[str, str]:
    """The rule that each story breaks, by module."""
    names = [info.name for info in pkgutil.iter_modules(stories.__path__)]
    modules = {
        name: importlib.import_module(f"{stories.__name__}.{name}")
        for name in names
        if name.startswith("test_") and name != __name__.rpartition(".")[2]
    }
    return {name: module.RULE for name, module in modules.items()}


def every_rule() -> set[str]:
    return {rule.rule.name for rule in RULES} | set(CONTRACTS) | rules_of_the_engine()


def test_every_rule_has_a_story_that_breaks_it() -> None:
    assert every_rule() - set(all_stories().values()) == set()


def test_every_story_names_a_rule_that_there_is() -> None:
    assert set(all_stories().values()) - every_rule() == set()


def test_the_engine_has_rules_of_its_own() -> None:
    assert {"no_data_race", "no_deadlock", "lock_balance"} <= rules_of_the_engine()
