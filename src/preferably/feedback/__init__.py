"""What was said: a prompt, its completions, and the judgments about them. No torch."""
