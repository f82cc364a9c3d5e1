"""Where two texts differ, by words: what a labeler sees at once instead of searching for it."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

FEW = 6  # letters in common between two differences, below which they are chance: "the", "is"
WORDS = 4000  # of one text, up to which it is compared by words, and above by lines

Part = tuple[str, bool]  # a piece of a text, and whether the other text has it too


def differences(one: str, other: str) -> tuple[list[Part], list[Part]]:
    """Both texts in pieces, whole: joined again they are the texts."""
    pieces = [_pieces(text) for text in (one, other)]
    if max(map(len, pieces)) > WORDS:
        pieces = [text.splitlines(keepends=True) for text in (one, other)]
    keys = [[piece.strip() for piece in text] for text in pieces]
    parts: tuple[list[Part], list[Part]] = ([], [])
    codes = SequenceMatcher(None, keys[0], keys[1]).get_opcodes()
    for at, (what, first, last, start, end) in enumerate(codes):
        inside = 0 < at < len(codes) - 1
        alike = what == "equal" and not (inside and sum(map(len, keys[0][first:last])) < FEW)
        for side, piece in enumerate((pieces[0][first:last], pieces[1][start:end])):
            _add(parts[side], piece, alike)
    return parts


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _add(parts: list[Part], pieces: Sequence[str], alike: bool) -> None:
    if pieces and parts and parts[-1][1] == alike:
        parts[-1] = (parts[-1][0] + "".join(pieces), alike)
    elif pieces:
        parts.append(("".join(pieces), alike))
