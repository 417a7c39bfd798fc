"""pfnlab lab: its commands together."""

from pfnlab.cli.lab import lab
from pfnlab.cli.trace import trace

lab.command()(trace)

__all__ = ["lab"]
