"""bench: what `make bench` measures."""
