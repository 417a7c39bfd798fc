"""scenarios: who does what at the same time.  No design is named here.

One module per subject; every `@scenario` in it is found by `pfnlab check`.
"""
