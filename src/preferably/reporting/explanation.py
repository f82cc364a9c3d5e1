"""One page on why a reward model prefers a completion: its text, each piece shaded by what it adds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preferably.reporting.figures import signed
from preferably.reporting.page import shell, write_page

SHADES = 3


def render_explanation(
    target: Path, *, model: str, prompt: str, axes: Sequence[str], completions: Sequence[dict[str, Any]]
) -> Path:
    """Writes `target` and returns it. Each of `completions` has `text`, `total`, `axes` (a score for each name) and
    `pieces` of `text`, `total` and `axes`; the letters A, B, ... name them.
    """
    # A completion of one piece has nothing that it could be held against.
    taken_apart = [one["pieces"] for one in completions if len(one["pieces"]) > 1]
    most = max((abs(piece["total"]) for pieces in taken_apart for piece in pieces), default=0.0)
    best = max(one["total"] for one in completions)
    named = list(axes) if len(axes) > 1 else []
    shown = [
        {
            "name": f"Completion {chr(ord('A') + index)}",
            "total": signed(one["total"]),
            "axes": [{"name": name, "value": signed(one["axes"][row])} for row, name in enumerate(named)],
            "preferred": len(completions) > 1 and one["total"] == best,
            "together": signed(sum(piece["total"] for piece in one["pieces"])),
            "pieces": [_piece(piece, most if len(one["pieces"]) > 1 else 0.0, len(named)) for piece in one["pieces"]],
        }
        for index, one in enumerate(completions)
    ]
    values = {"title": "Why this score", "model": model, "prompt": prompt, "completions": shown}
    return write_page(target, "explanation.html.j2", shell([]) | values)


def shade(value: float, most: float) -> int:
    """0 to `SHADES`, with the sign of `value`: how much of the strongest piece's effect it has."""
    if not most:
        return 0
    size = min(SHADES, int(abs(value) / most * SHADES + 0.5))
    return size if value > 0 else -size


def _piece(piece: dict[str, Any], most: float, axes: int) -> dict[str, Any]:
    level = shade(piece["total"], most)
    name = f"{'more' if level > 0 else 'less'}-{abs(level)}" if level else "none"
    told = "adds " + signed(piece["total"])
    values = [signed(value) for value in piece["axes"]] if axes else []
    return {"text": piece["text"], "total": signed(piece["total"]), "axes": values, "shade": name, "told": told}
