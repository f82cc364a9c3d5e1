"""The page in real Chromium: charts are drawn, no script of others runs, a phone needs no sideways scroll."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium browser: none of its commands is installed")


def opened(page: Path, profile: Path, *flags: str) -> tuple[str, str]:
    """The document after its scripts ran, and what was written to the console."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--virtual-time-budget=10000",         f"--user-data-dir={profile}", *flags, "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_all_charts_are_drawn_and_the_console_is_silent(dpo: Path, tmp_path: Path) -> None:
    document, console = opened(dpo / "report.html", tmp_path)
    assert document.count('data-drawn="yes"') == document.count("data-chart=") == 10
    assert len(re.findall(r'<svg[^>]*class="marks"', document)) == 10
    assert console == ""


def test_no_hostile_script_runs(hostile: Path, tmp_path: Path) -> None:
    document, console = opened(hostile / "report.html", tmp_path)
    assert "<title>DPO · run</title>" in document
    assert document.count('data-drawn="yes"') == document.count("data-chart=") > 0
    assert "<img" not in re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL)  # the library writes about them
    assert console == ""


@pytest.mark.parametrize("width", [390, 800, 1200])
def test_no_sideways_scroll(dpo: Path, hostile: Path, tmp_path: Path, width: int) -> None:
    for run in (dpo, hostile):
        frame = tmp_path / "frame.html"
        frame.write_text(
            f'<iframe style="width:{width}px;height:900px" src="{(run / "report.html").as_uri()}"></iframe><script>'
            "onload = () => setTimeout(() => { const page = frames[0].document.documentElement;"
            "document.title = page.scrollWidth + ' in ' + page.clientWidth }, 4000)</script>"
        )
        document, _ = opened(frame, tmp_path / "profile", "--allow-file-access-from-files")
        measured = re.findall(r"<title>(\d+) in (\d+)</title>", document)
        assert measured, "the page could not be measured"
        assert int(measured[0][0]) <= int(measured[0][1])
