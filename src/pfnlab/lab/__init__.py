"""QEMU guests that run host/ on real kernels."""
