"""pfnlab --version and --help."""

import pfnlab as package
from tests.cli.command import Command


def test_version_is_that_of_the_package_and_names_the_core(pfnlab: Command) -> None:
    ran = pfnlab("--version")

    assert ran.status == 0
    assert ran.out == f"pfnlab {package.__version__} ({package.core.description()})\n"


def test_help_names_every_command(pfnlab: Command) -> None:
    ran = pfnlab("--help")

    assert ran.status == 0
    for command in ("check", "replay", "list", "show", "new"):
        assert f"\n  {command} " in ran.out
