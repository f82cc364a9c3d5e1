"""What came out: win rates, readiness, held-out accuracy."""
