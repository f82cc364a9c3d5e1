"""Many steps as one job: sweeps, and the whole of `align.yaml`."""
