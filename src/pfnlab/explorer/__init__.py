"""explorer: chooses schedules for the engine to run.  It knows no kernel.

One policy a file; `search.py` runs one of them, `shortest.py` makes what it finds short.
"""
