"""Text of models and people as HTML that can do nothing: no scripts, no pictures, nothing that asks another server."""

import html
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

TAGS = {
    "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("link_open", lambda *_: "")
    parser.add_render_rule("link_close", _address)
    parser.add_render_rule("image", _picture)
    return parser


def _address(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    """Where the link that ends here leads to, after its text."""
    depth, opened = 0, at
    for opened in range(at, -1, -1):
        depth += {"link_close": 1, "link_open": -1}.get(tokens[opened].type, 0)
        if not depth:
            break
    return f" <code>{html.escape(str(tokens[opened].attrs.get('href', '')))}</code>"


def _picture(renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    source = html.escape(str(tokens[at].attrs.get("src", "")))
    return f"[picture: {html.escape(tokens[at].content)}] <code>{source}</code>"


def rendered(text: str, under: int = 3) -> Markup:
    """Markdown as safe HTML. A link is its text with the address beside it, a picture its description: nobody is sent
    anywhere, and nothing is loaded. Its headings begin one level below `under`, that of the page's heading over it."""
    tokens = _parser().parse(plain(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + under)}"
    made = _parser().renderer.render(tokens, _parser().options, {})
    attributes = {"ol": {"start"}}
    return Markup(
        nh3.clean(made, tags=TAGS, attributes=attributes, link_rel=None, url_schemes=set(), strip_comments=True)
    )


def plain(text: str) -> str:
    """The text with what cannot be seen made visible: controls, and marks that turn the direction of writing."""
    return "".join(_seen(character) for character in text.replace("\r\n", "\n"))


def as_text(text: str) -> Markup:
    """The text as it is, for `pre`."""
    return escape(plain(text))


def _seen(character: str) -> str:
    if character in "\n\t":
        return character
    if character in BIDI or unicodedata.category(character) in ("Cc", "Cs", "Co"):
        return f"\u27e8U+{ord(character):04X}\u27e9"
    return character
