"""Model against kernel: what a workload does on both, and whether a trace is possible."""
