"""A reply by the right answer of its row: `answer` is a column of the prompts, empty where nobody could know."""

NOT_SURE = ("not sure", "don't know", "do not know", "cannot know", "can't know")


def score(prompts: list[str], completions: list[str], answer: list[str | None]) -> list[float]:
    """1 for the right answer, 0.3 for "not sure" beside an answer that is known, 1 where there is none, 0 for wrong."""
    found = []
    for reply, right in zip(completions, answer, strict=True):
        unsure = any(words in reply.lower() for words in NOT_SURE)
        if not right:
            found.append(1.0 if unsure else 0.0)
        else:
            found.append(0.3 if unsure else float(right.lower() in reply.lower()))
    return found
