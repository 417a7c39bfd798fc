"""designs: one file per proposal.  Each ends in `design = Design(...)`."""
