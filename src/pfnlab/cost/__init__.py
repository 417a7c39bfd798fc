"""cost: what a mapping costs, counted by running the designs themselves."""
