"""Other machines: servers that models are asked through."""
