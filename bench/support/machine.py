"""Where a figure was measured, and the one way in which results are written."""

import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results"
REAL = ROOT.parent / "shared" / "real"
PACKAGES = ("preferably", "torch", "transformers", "tokenizers", "trl", "accelerate", "datasets", "peft", "numpy")


def facts() -> dict[str, Any]:
    """Versions, processor, cores, threads, load, commit and date."""
    import torch

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load_at_start": round(os.getloadavg()[0], 2),
        "bf16_matmul": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "system": platform.platform(),
    }


def matmul_rates(size: int = 1024, repeats: int = 12) -> dict[str, float]:
    """The best rate of a square matrix product, in 10^9 floating-point operations a second: how fast this machine is
    now. A benchmark next to another job shows here."""
    import torch

    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        best = float("inf")
        for _ in range(repeats):
            began = time.perf_counter()
            torch.nn.functional.linear(a, b)
            best = min(best, time.perf_counter() - began)
        rates[str(dtype).removeprefix("torch.")] = round(2 * size**3 / best / 1e9, 1)
    return rates


def peak_rss_gb() -> float:
    """The most memory that this process has held, in 10^9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def write_result(
    name: str, environment: dict[str, Any], settings: dict[str, Any], values: dict[str, Any], *, told: bool = True
) -> Path:
    """Write `bench/results/<name>.json`; a smoke run proves nothing and goes to the folder for temporary files. `told`
    is false for what is not the last of it."""
    folder = Path(tempfile.gettempdir()) if settings.get("smoke") else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{'.smoke' if settings.get('smoke') else ''}.json"
    content = {"schema": 1, "environment": environment, "settings": settings} | values
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if told:
        print(f"\nwritten: {path}")
    return path


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as aligned columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(names))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return f"{known.get('model name', '?')} (family {known.get('cpu family')}, model {known.get('model')})"
