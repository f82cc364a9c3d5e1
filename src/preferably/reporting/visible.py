"""Text of others made safe to show: escaped, and every character that hides or reorders text drawn as a mark.

The text of a model is hostile input. Everything that the templates print goes through `shown`.
"""

import re
import unicodedata
from typing import Any

from markupsafe import Markup, escape

SHOWN = 900  # characters of a long text that are shown at once
KEPT = 12_000  # characters that the page keeps of it behind "show more"

CONTROLS = {
    "\x00": "NUL",
    "\x07": "BEL",
    "\x08": "BS",
    "\x0b": "VT",
    "\x0c": "FF",
    "\r": "CR",
    "\x1b": "ESC",
    "\x7f": "DEL",
}

# Controls but tab and newline, format characters (bidi, zero width, tags), lone surrogates, line and paragraph
# separators. ZWNJ and ZWJ join letters and emoji: they are marked only where they follow plain ASCII.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U000e0000-\U000e007f]|(?<![^\x00-\x7f])[\u200c\u200d]"
)


def shown(value: Any) -> Any:
    """`value` as safe markup; what is markup already is left as it is."""
    if isinstance(value, Markup):
        return value
    return Markup(_HIDDEN.sub(_mark, str(escape(str(value).replace("\r\n", "\n")))))


def plain(value: object) -> str:
    """`value` on one line for places that take no markup (titles, Markdown): hidden characters as `<U+202E>`."""
    return " ".join(_HIDDEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", str(value)).split())


def _mark(found: re.Match[str]) -> str:
    character = found[0]
    point = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "CONTROL CHARACTER")
    drawn = CONTROLS.get(character, point)
    after = "\n" if character in "\u2028\u2029" else ""
    return f'<span class="hidden-character" title="{point} {escape(name)}">{drawn}</span>{after}'


def folded(value: str) -> tuple[str, str, int]:
    """A long text in (what is shown, what is kept behind "show more", how many characters are left out)."""
    if len(value) <= SHOWN + SHOWN // 3:
        return value, "", 0
    return value[:SHOWN], value[SHOWN:KEPT], max(0, len(value) - KEPT)
