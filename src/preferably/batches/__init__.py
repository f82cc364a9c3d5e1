"""From token groups to tensors: the packed batch."""
