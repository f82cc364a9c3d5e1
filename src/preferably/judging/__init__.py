"""Who decides which completion is better."""
