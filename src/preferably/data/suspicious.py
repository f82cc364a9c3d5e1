"""Text that a person should look at: it is used as it is, and counted as a warning."""

import re
import unicodedata
from collections.abc import Sequence

from preferably.data.accounting import Accounting
from preferably.feedback.records import Group

# Letters of other alphabets that look like Latin ones. Next to a Latin letter they make a word that only looks right.
LOOKALIKES = "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u0501\u051b\u051d" + (
    "\u0405\u0406\u0408\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425"
    "\u03bf\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
)

# One pass over the text, by kind. Zero-width joiners are letters of Persian, of Indic scripts and of emoji, so they
# count only beside plain ASCII letters. Two of the characters that UTF-8 takes when it is read as Windows-1252 make
# mojibake: a lead byte (\u00c2, \u00c3, \u00e2) and what its trail byte becomes.
KINDS = {
    "control_character": r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]",
    "hidden_character": "[\u00ad\u061c\u180e\u200b\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]"
    "|(?<=[A-Za-z])[\u200c\u200d]|[\u200c\u200d](?=[A-Za-z])",
    "homoglyph": f"(?<=[A-Za-z])[{LOOKALIKES}]|[{LOOKALIKES}](?=[A-Za-z])",
    "mojibake": "\u00c3[\u0080-\u00bf\u0152-\u0178\u2018-\u2122]|\u00c2[\u0080-\u00bf]"
    "|\u00e2[\u0080\u201a\u20ac][\u0080-\u00bf\u0152-\u02dc\u2018-\u2122]",
    "replacement_character": "[\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff]",
}
_ASCII = re.compile(KINDS["control_character"])
_ANY = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in KINDS.items()))


def suspicious(text: str) -> dict[str, str]:
    """The kinds of `KINDS` that are in `text`, each with what was found first."""
    if text.isascii():
        found = _ASCII.search(text)
        return {"control_character": found[0]} if found else {}
    kinds: dict[str, str] = {}
    for found in _ANY.finditer(text):
        kinds.setdefault(str(found.lastgroup), found[0])
    return kinds


class Watch:
    """Looks once at every row that is used, and enters what it finds as warnings."""

    def __init__(self, account: Accounting) -> None:
        self._account = account
        self._composed: dict[int, int] = {}  # hash of the composed texts: hash of the texts as they are

    def look(self, groups: Sequence[Group]) -> None:
        """The groups of one row, once each: a row that says what an earlier one said is no second one."""
        texts = [
            message.content
            for group in groups
            for part in (group.prompt, *(completion.messages for completion in group.completions))
            for message in part
        ]
        file, line = next((group.place for group in groups if group.place), ("row", 0))
        kinds: dict[str, str] = {}
        for text in dict.fromkeys(texts):
            kinds = suspicious(text) | kinds
        for kind, found in kinds.items():
            points = " ".join(f"U+{ord(character):04X}" for character in found)
            self._account.warn(kind, f"{file}:{line} {points}")
        said, composed = hash(tuple(texts)), hash(tuple(unicodedata.normalize("NFC", text) for text in texts))
        if self._composed.setdefault(composed, said) != said:
            self._account.warn("composition", f"{file}:{line}")
