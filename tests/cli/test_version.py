"""pfnlab --version and --help."""

import pfnlab as package
from tests.cli.command import Command


def test_version_is_that_of_the_package(pfnlab: Command) -> None:
    ran = pfnlab("--version")

    assert (ran.status, ran.out) == (0, f"pfnlab {package.__version__}\n")


def test_help_names_every_command(pfnlab: Command) -> None:
    ran = pfnlab("--help")

    assert ran.status == 0
    for command in ("check", "replay", "list", "show", "new"):
        assert f"\n  {command} " in ran.out
