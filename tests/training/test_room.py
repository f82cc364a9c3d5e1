"""What memory is left: the machine's own files, and every cgroup around the process."""

import sys

import pytest
import torch

from preferably.training.room import available, available_on_host, held


@pytest.fixture
def system(tmp_path):
    """`system(available in kB or None, cgroup lines, {file: text})`: a machine's files under a folder."""

    def build(kilobytes, lines, files):
        (tmp_path / "proc" / "self").mkdir(parents=True)
        if kilobytes is not None:
            text = f"MemTotal:       99999999 kB\nMemFree:  1 kB\nMemAvailable:   {kilobytes} kB\n"
            (tmp_path / "proc" / "meminfo").write_text(text)
        (tmp_path / "proc" / "self" / "cgroup").write_text("".join(line + "\n" for line in lines))
        for name, content in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return available_on_host(tmp_path / "proc", tmp_path / "groups")

    return build


def test_without_limits_it_is_what_the_machine_has(system):
    assert system(2000, ["0::/"], {}) == 2000 * 1024


def test_the_tightest_group_around_the_process_counts_and_idle_files_are_no_use(system):
    """Limit 900,000, used 500,000 of which 100,000 are pages of files: 500,000 are left; outside 700,000."""
    files = {
        "a/b/memory.max": "max\n", "a/b/memory.current": "500000\n",
        "a/memory.max": "900000\n", "a/memory.current": "500000\n",
        "a/memory.stat": "anon 400000\nfile 100000\ninactive_file 100000\n",
        "memory.max": "1200000\n", "memory.current": "500000\n",
    }  # fmt: skip
    assert system(2000, ["0::/a/b"], files) == 500_000


def test_the_first_version_of_cgroups_is_read_too(system):
    files = {
        "memory/job/memory.limit_in_bytes": "800000\n", "memory/job/memory.usage_in_bytes": "300000\n",
        "memory/job/memory.stat": "inactive_file 7\ntotal_inactive_file 50000\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "300000\n",
    }  # fmt: skip
    assert system(2000, ["5:cpu,cpuacct:/", "4:memory:/job", "0::/"], files) == 550_000


def test_in_a_container_the_path_of_the_host_is_not_there_but_the_limit_is(system):
    files = {"memory.max": "600000\n", "memory.current": "700000\n"}
    assert system(2000, ["0::/docker/0123"], files) == 0


def test_a_system_that_does_not_say_is_not_known(system):
    assert system(None, ["0::/"], {}) is None
    assert available(torch.device("mps")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_on_this_machine():
    before = held()
    kept = torch.ones(20_000_000)  # 80 MB, touched
    assert 10**7 < before and 70e6 < held() - before < 200e6
    assert available(torch.device("cpu")) > 10**7
    assert kept.sum() == 20_000_000
