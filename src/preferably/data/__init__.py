"""From files to token groups, with every row accounted for. No torch."""
