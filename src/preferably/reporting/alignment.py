"""A whole job on one page."""

from pathlib import Path

from preferably.reporting.run_files import Record


def render_alignment(directory: Path, record: Record) -> Path:
    """Writes `directory/report.html` from the contents of `align.json` and returns its path."""
    return directory / "report.html"
