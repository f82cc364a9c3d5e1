"""Many steps as one job: sweeps."""
