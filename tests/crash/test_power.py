"""A power cut at any moment of a run, with a disk that kept any part of what was not synced."""

import json
import random
import shutil
from pathlib import Path

import pytest
from crash_runs import KILLS, digest, final
from power import Fact, Recorder, after_cut, store, unsynced

from preferably.config import settings
from preferably.errors import CheckpointError
from preferably.training import checkpoint
from preferably.training.closing import Progress
from preferably.training.run import train
from preferably.training.run_directory import RunDirectory

IMAGES = 5 * KILLS
RESUMED = max(4, KILLS // 5)


class Pulled(Exception):
    """The plug."""


def contents(path):
    return {file.name: digest(file) for file in path.iterdir()}


@pytest.fixture(scope="module")
def recorded(job, tmp_path_factory):
    """Operations of a run of DPO that failed at step 5 and went on, and the files of every checkpoint that it wrote."""
    root = tmp_path_factory.mktemp("recorded").resolve()
    values = job("dpo", "recorded", output=str(root / "run"), keep=1)
    truth: dict[int, list] = {}

    def pull(step, metrics):
        if step == 5:
            raise Pulled

    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(root, patch)
        real = checkpoint.write_checkpoint

        def write(directory, step, *arguments, **options):
            path = real(directory, step, *arguments, **options)
            recorder.fact(step)
            return path

        def verified(path, **options):  # it is whole, and not pruned yet
            manifest = verify(path, **options)
            truth.setdefault(manifest.step, contents(path))
            return manifest

        verify = checkpoint.verify
        patch.setattr(checkpoint, "verify", verified)
        patch.setattr(checkpoint, "write_checkpoint", write)
        with pytest.raises(Pulled):
            train(settings(values), progress=Progress(step=pull))
        train(settings(values), resume=True)
    return values, recorder.operations, truth, (root / "run" / "metrics.jsonl").read_bytes()


def image(operations, at, draw, folder):
    """Make `folder` what the disk holds after a cut, and give the newest step that the program took for saved."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    store(after_cut(operations, at, draw), folder)
    return max((o.what for o in operations[:at] if isinstance(o, Fact)), default=None)


def faults(folder, saved, truth, metrics):
    """What is wrong with the image: nothing may be."""
    path = folder / "run"
    if not path.exists():
        return ["the run is lost"] if saved is not None else []
    run = RunDirectory(path)
    run.create(resume=True)
    try:
        found = checkpoint.newest_valid(path / "checkpoints", run.id)
    except CheckpointError as error:
        return [str(error)]
    if found.path is None:
        return [f"step {saved} is lost"] if saved is not None else []
    out = []
    step = found.manifest.step
    if saved is not None and step < saved:
        out.append(f"step {saved} is lost, step {step} is used")
    if contents(found.path) != truth[step]:
        out.append(f"step {step} is accepted and not what was written")
    logs = json.loads((found.path / "state.json").read_text())["logs"]
    size = logs["metrics.jsonl"]
    kept = (path / "metrics.jsonl").read_bytes() if (path / "metrics.jsonl").exists() else b""
    if kept[:size] != metrics[:size]:
        out.append(f"metrics up to step {step} are lost")
    return out


class Everything:
    """A draw by which a disk keeps everything."""

    def choice(self, values):
        return max(values)

    def random(self):
        return 0.999


def test_what_was_recorded_is_what_happened(recorded, tmp_path):
    """The check of the check: with nothing lost the replay is the run."""
    values, operations, truth, metrics = recorded
    store(after_cut(operations, len(operations), Everything()), tmp_path)
    run, copy = Path(values["output"]), tmp_path / "run"
    names = sorted(str(p.relative_to(run)) for p in run.rglob("*") if p.is_file() and p.name != ".lock")
    assert len(names) > 15
    assert {name: digest(copy / name) for name in names} == {name: digest(run / name) for name in names}
    assert len(truth) >= 5 and len(operations) > 200


def test_after_a_power_cut_the_newest_checkpoint_is_whole(recorded, tmp_path):
    values, operations, truth, metrics = recorded
    draw, seen = random.Random(0), set()
    for _ in range(IMAGES):
        at = draw.randrange(len(operations) + 1)
        saved = image(operations, at, draw, tmp_path / "disk")
        assert faults(tmp_path / "disk", saved, truth, metrics) == [], at
        seen.add(saved)
    assert seen >= set(truth)
    print(f"\n{IMAGES} crash images of {len(operations)} operations: 0 accepted and wrong, 0 lost")


def test_after_a_power_cut_the_run_goes_on_to_the_same_end(recorded, whole, warm, tmp_path):
    values, operations, _, _ = recorded
    draw = random.Random(1)
    for _ in range(RESUMED):
        at = draw.randrange(len(operations) + 1)
        image(operations, at, draw, tmp_path / "disk")
        done = warm.run(values | {"output": str(tmp_path / "disk" / "run")}, resume=True)
        assert done.code == 0, (at, done.said)
        ended, known = final(tmp_path / "disk" / "run"), whole("dpo").final
        assert ended == known, at
    print(f"\n{RESUMED} resumed after a power cut, {RESUMED} ends identical")


def test_the_images_would_show_files_that_are_not_synced(recorded, tmp_path):
    """Where syncing does nothing checkpoints are lost, and who trusts names and sizes takes wrong ones."""
    _, operations, truth, metrics = recorded
    operations, draw = unsynced(operations), random.Random(2)
    lost, trusted = 0, 0
    for _ in range(60):
        saved = image(operations, draw.randrange(len(operations) + 1), draw, tmp_path / "disk")
        found = faults(tmp_path / "disk", saved, truth, metrics)
        assert not any("accepted" in fault for fault in found)  # hashes need no luck
        lost += bool(found)
        for path in (tmp_path / "disk").glob("run/checkpoints/step-????????"):
            step = int(path.name[5:])
            trusted += (path / "MANIFEST.json").exists() and contents(path) != truth.get(step)
    assert lost > 10 and trusted > 0
