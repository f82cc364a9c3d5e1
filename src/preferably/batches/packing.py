"""How groups fall to processes and into micro-batches: by tokens, whole groups, in order."""

from collections.abc import Sequence

from preferably.data.tokens import TokenGroup


def packed_size(group: TokenGroup) -> int:
    """Tokens that the group takes in a packed row: its prompt once, and each completion."""
    return len(group.prompt) + sum(len(completion) for completion in group.completions)


def split_by_tokens(groups: Sequence[TokenGroup], budget: int) -> list[list[TokenGroup]]:
    """Cut `groups`, in order, into runs of at most `budget` tokens; a group longer than that stands alone.

    The gradient of a step does not depend on the cut: losses are summed and divided by a count over the whole step.
    """
    runs: list[list[TokenGroup]] = []
    room = 0
    for group in groups:
        size = packed_size(group)
        if not runs or size > room:
            runs.append([])
            room = budget
        runs[-1].append(group)
        room -= size
    return runs


def divide(groups: Sequence[TokenGroup], parts: int) -> list[list[TokenGroup]]:
    """Deal `groups` out to `parts` of like many tokens: the longest first, each to the part that has the fewest.

    The order inside a part is that of `groups`; a part may be empty.
    """
    tokens = [0] * parts
    owner = [0] * len(groups)
    for index in sorted(range(len(groups)), key=lambda index: -packed_size(groups[index])):
        owner[index] = tokens.index(min(tokens))
        tokens[owner[index]] += packed_size(groups[index])
    return [[group for group, part in zip(groups, owner, strict=True) if part == wanted] for wanted in range(parts)]
