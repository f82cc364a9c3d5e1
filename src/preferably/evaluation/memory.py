"""Which prompts of an evaluation a run was trained on: there it would be rewarded for memory."""

from pathlib import Path

from preferably.config import read_yaml
from preferably.data.load import load_feedback
from preferably.data.splits import leaked


def seen(run: str | Path, prompts: str | Path) -> tuple[list[str], list[str]]:
    """Which prompts of a file a run was trained on, as `file:line`; and which of its data cannot be read here.

    What the run itself held out of its data it was not trained on.
    """
    asked, files = load_feedback([prompts], "prompts").groups, read_yaml(Path(run) / "config.yaml").get("data", [])
    here = [file for file in files if Path(file).exists()]
    known = load_feedback(here, "prompts", max_rejected=1.0).groups if here else []
    held_out = Path(run) / "held_out.jsonl"
    if known and held_out.exists() and held_out.stat().st_size:
        spared = set(leaked(load_feedback([held_out], "prompts").groups, known))
        known = [group for index, group in enumerate(known) if index not in spared]
    places = (asked[index].place or ("memory", 0) for index in leaked(known, asked))
    return [f"{file}:{line}" for file, line in places], [file for file in files if file not in here]
