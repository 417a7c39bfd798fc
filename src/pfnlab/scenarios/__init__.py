"""scenarios: who does what at the same time.  No design is named here.

One module per subject; every `@scenario` in it is found by `pfnlab check`.  What they are
made of is in actors.py.
"""

# In the order in which they are listed: the simplest first.
MODULES = (
    "faults", "zaps", "mmaps", "forks", "resets", "power", "regions", "dma", "dma_bufs", "kvm",
    "pat", "huge", "exits", "pairs",
)  # fmt: skip
