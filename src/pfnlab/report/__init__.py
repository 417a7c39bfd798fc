"""report: every line of text that pfnlab prints.  It gets data and returns strings."""
