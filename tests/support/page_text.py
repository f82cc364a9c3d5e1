"""A page as it is read."""

import html
import re
from pathlib import Path


def text_of(page: Path | str) -> str:
    """What a reader of a page (a file, or its source) without scripts sees, on one line."""
    source = page if isinstance(page, str) else page.read_text(encoding="utf-8")
    source = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", source, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", source)).split())
