"""How much memory there is for a run, read from the system itself; None where the system does not say."""

import os
import re
from pathlib import Path

import torch


def available(device: torch.device) -> int | None:
    """Bytes that this process can still take on `device`: what CUDA has free, or what Linux and its cgroups leave."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return available_on_host() if device.type == "cpu" else None


def available_on_host(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The least of what the machine has available and what every cgroup of this process leaves, in bytes."""
    machine = re.search(r"^MemAvailable:\s+(\d+) kB$", _text(proc / "meminfo"), re.MULTILINE)
    known = [int(machine[1]) * 1024] if machine else []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            known += _left(groups, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = groups / "memory"
            known += _left(root, path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return min(known, default=None)


def held(proc: Path = Path("/proc")) -> int:
    """Bytes of memory that this process holds now; 0 where the system does not say."""
    fields = _text(proc / "self" / "statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _left(root: Path, path: str, limit: str, usage: str, idle: str) -> list[int]:
    """Limit less use of the cgroup `path` and of each one that it is in. Idle pages of files are given up on demand."""
    left = []
    inside = root / path.strip("/")
    for group in (inside, *inside.parents):
        most, used = _text(group / limit).strip(), _text(group / usage).strip()
        if most.isdigit() and used.isdigit():
            cached = re.search(rf"^{idle} (\d+)$", _text(group / "memory.stat"), re.MULTILINE)
            left.append(max(0, int(most) - int(used) + (int(cached[1]) if cached else 0)))
        if group == root:
            break
    return left


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
