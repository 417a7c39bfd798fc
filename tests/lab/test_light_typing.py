"""The typing of a guest has all the names that what runs there imports from it."""

import ast

from pfnlab.lab.guest_python import PACKAGE, own_modules
from pfnlab.lab.inside import light_typing


def test_it_has_every_name_that_is_imported_from_typing() -> None:
    wanted = {
        alias.name
        for path in own_modules().values()
        if path.is_relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "typing"
        for alias in node.names
    }

    assert wanted <= set(light_typing.__all__)
    assert wanted <= set(vars(light_typing))


def test_its_names_can_be_given_parameters_and_be_inherited_from() -> None:
    class Device(light_typing.Protocol):
        size: light_typing.Literal[1, 2] | None = None

    assert Device().size is None
