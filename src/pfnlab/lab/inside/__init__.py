"""What runs inside a guest: the init script and the agent, which needs nothing of pfnlab."""
