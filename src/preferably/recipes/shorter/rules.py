"""How short a reply is, and whether it still says something."""

ENOUGH = 40  # words; fewer are no better
LEAST = 3  # words; fewer say nothing


def short(prompts: list[str], completions: list[str]) -> list[float | None]:
    """What is trained on: each word beyond `ENOUGH` costs; None (no verdict) for a reply that says nothing."""
    lengths = [len(text.split()) for text in completions]
    return [None if words < LEAST else -float(max(words, ENOUGH)) for words in lengths]


def score(prompts: list[str], completions: list[str]) -> list[float]:
    """What is judged by: words beyond `ENOUGH` cost, and so does each word of the prompt that the reply does not take
    up (a reply to a question speaks of the same things)."""
    found = []
    for prompt, text in zip(prompts, completions, strict=True):
        said = set(text.lower().split())
        asked = {word for word in prompt.lower().split() if len(word) > 4}
        missed = len(asked - said) / len(asked) if asked else 0.0
        found.append(-max(len(text.split()) - ENOUGH, 0) / ENOUGH - missed)
    return found
