"""The page on why a reward model scores as it does: text of others is escaped, shades follow what pieces add."""

from preferably.reporting.explanation import render_explanation, shade


def piece(text, total):
    return {"text": text, "total": total, "axes": (total, -total)}


def test_the_page(tmp_path):
    completions = [
        {"text": "a", "total": 1.5, "axes": (1.0, 0.5), "pieces": [piece("<b>good</b> ", 3.0), piece("bad", -1.0)]},
        {"text": "b", "total": -0.5, "axes": (0.0, -0.5), "pieces": [piece("whole", -9.0)]},
    ]
    path = render_explanation(
        tmp_path / "x.html", model="rm", prompt="a & b?", axes=("kind", "short"), completions=completions
    )
    page = path.read_text()
    assert "a &amp; b?" in page and "<b>good</b>" not in page and "&lt;b&gt;good" in page
    assert 'class="more-3"' in page and 'class="less-1"' in page
    # A completion of one piece is not shaded, and does not make the others pale.
    assert 'class="less-3" title' not in page and page.count(">preferred<") == 1 and "+2.00" in page


def test_shades():
    assert [shade(value, 3.0) for value in (3.0, 2.0, 1.0, 0.4, -0.6, -3.0)] == [3, 2, 1, 0, -1, -3]
    assert shade(1.0, 0.0) == 0
