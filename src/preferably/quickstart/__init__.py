"""A small synthetic world with a known truth, and the whole job run in it."""
