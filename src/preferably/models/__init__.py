"""Networks: loading, adapters, prefix-shared attention, the one forward, the sampler."""
