"""Every point at which a process changes the disk, and what can happen there.

Run by test_fault_points.py in a process of its own, `fault_points.py FOLDER kill|half|ENOSPC|EIO|...`: a forked child
writes a checkpoint and meets that fate at its n-th point, for every n. Prints JSON. `warm.py` does the same to runs.
"""

import errno
import json
import os
import shutil
import signal
import stat
import sys
from pathlib import Path

from preferably.errors import CheckpointError
from preferably.training import checkpoint
from preferably.training.disk import NoSpaceError

CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "test.half"}
NEEDS_ROOM = {"open", "os.mkdir", "fsync", "test.half"}  # what a full disk refuses
RUN = "run-a"


class FaultPoints:
    """Counts the calls of this process that change files under `root`, and lets one of them meet its fate.

    `at` is its number, from 1, or a text: then it is the first whose event and path (`os.rename /a/b`) hold it. `fate`
    is `kill` (SIGKILL just before it), `half` (the same, with half of what was to be synced there; what was synced
    before is safe) or the name of an errno, with which that call fails and, with `stays`, every later one too.
    """

    def __init__(self, root, at, fate="kill", stays=False):
        self.root, self.at, self.fate, self.stays = str(root), at, fate, stays
        self.events, self.on, self.real_fsync = [], False, os.fsync
        self.synced = {}  # bytes of each file that are on the disk for good

    def arm(self):
        os.fsync = self.fsync
        sys.addaudithook(self.audit)
        self.on = True

    def audit(self, event, arguments):
        if not self.on or event not in CHANGES or isinstance(arguments[0], int):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        path = os.fsdecode(arguments[0])
        # shutil.rmtree names files relative to an open directory.
        if path.startswith(self.root) or (event in ("os.remove", "os.rmdir") and arguments[1] != -1):
            self.point(event, path)

    def fsync(self, descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if self.on and path.startswith(self.root):
            self.point("fsync", path)
        self.real_fsync(descriptor)
        self.synced[path] = os.fstat(descriptor).st_size

    def point(self, event, path):
        self.events.append((event, path.removeprefix(self.root)))
        here = len(self.events)
        if isinstance(self.at, str) and self.at in f"{event} {path}":
            self.at = here
        if self.fate in ("kill", "half"):
            if here != self.at:
                return
            self.on = False
            if self.fate == "half" and event == "fsync" and stat.S_ISREG(os.stat(path).st_mode):
                safe = min(self.synced.get(path, 0), os.path.getsize(path))
                os.truncate(path, (safe + os.path.getsize(path)) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        code = getattr(errno, self.fate)
        if (here == self.at or (self.stays and isinstance(self.at, int) and here > self.at)) and (
            code != errno.ENOSPC or event in NEEDS_ROOM
        ):
            raise OSError(code, os.strerror(code), path)


def contents(step):
    state = json.dumps({"step": step}).encode() * 20
    return {"weights.bin": bytes([step]) * 3000, "optimizer.bin": bytes([step, 0]) * 999, "state.json": state}


def write(folder, step, **more):
    def writer(data):
        def put(path):
            with open(path, "wb") as stream:
                stream.write(data[: len(data) // 2])
                stream.flush()
                sys.audit("test.half", path)
                stream.write(data[len(data) // 2 :])

        return put

    files = {name: writer(data) for name, data in contents(step).items()}
    return checkpoint.write_checkpoint(folder, step, files, {"step": step}, run_id=RUN, **more)


def fated(folder, at, fate):
    """Forks a child that writes step 3; how it ended: `killed`, `written`, `full`, `told`."""
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            points = FaultPoints(folder, at, fate)
            points.arm()
            write(folder, 3, keep=1)
            code = 0 if len(points.events) < at else 3
        except NoSpaceError:
            code = 1
        except CheckpointError:
            code = 2
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {-signal.SIGKILL: "killed", 0: "over", 3: "written", 1: "full", 2: "told"}.get(code, f"code {code}")


def main(root, fate):
    seen = []
    for at in range(1, 1000):
        folder = root / f"at-{at}"
        folder.mkdir()
        write(folder, 1)
        write(folder, 2)
        end = fated(folder, at, fate)
        found = checkpoint.newest_valid(folder, RUN)
        step = found.manifest.step if found.manifest else None
        right = step is not None and all(
            (found.path / name).read_bytes() == data for name, data in contents(step).items()
        )
        leftovers = sum(".tmp-" in path.name for path in folder.iterdir())
        again = (step or 0) + 1
        with checkpoint.lock_run(folder) as lock:  # the run is taken up again
            write(folder, again, keep=1, lock=lock)
        clean = checkpoint.newest_valid(folder, RUN).manifest.step == again
        clean &= not any(".tmp-" in path.name for path in folder.iterdir())
        row = {"end": end, "step": step, "right": right, "refused": len(found.refused)}
        seen.append(row | {"leftovers": leftovers, "clean": clean})
        shutil.rmtree(folder)
        if end == "over":
            break
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
