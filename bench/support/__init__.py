"""What the benchmarks share: facts of the machine, child processes, the loop on tokens, the real material."""
