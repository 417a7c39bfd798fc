"""Real VFIO on the machine that this runs on; needs nothing but the standard library."""
