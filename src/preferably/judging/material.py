"""Texts that a model is shown as material, apart from what it is told; and what it says, apart from what it thought."""

import json
from collections.abc import Mapping
from hashlib import sha256


def laid_out(told: str, pieces: Mapping[str, str]) -> tuple[str, list[str]]:
    """The mark of `pieces`, texts by what they are, and each of them between two lines with it.

    The mark is made of all that is shown, with what is `told` of it: nobody who writes a part can know it.
    """
    mark = sha256(json.dumps([told, *pieces.items()]).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return mark, [f"--- {name} {mark}\n{text}\n--- end {mark}" for name, text in pieces.items()]


def spoken(text: str) -> str:
    """A reply without what its model thought before it spoke."""
    return text.rpartition("</think>")[2]
