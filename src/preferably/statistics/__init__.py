"""The statistics of preferences, in numpy. Imports nothing of ours, and no torch."""
