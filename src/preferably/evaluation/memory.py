"""Which prompts of an evaluation, or of an audit, a model was trained on: there it would be rewarded for memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from preferably.config import read_yaml
from preferably.data.load import load_feedback
from preferably.data.splits import leaked
from preferably.evaluation.audit import Audit
from preferably.evaluation.findings import Finding
from preferably.feedback.records import Group
from preferably.models.loading import model_directory

SHOWN = 3  # prompts that a finding names


def seen(run: str | Path, prompts: str | Path) -> tuple[list[str], list[str]]:
    """Which prompts of a file a run was trained on, as `file:line`; and which of its data cannot be read here.

    What the run itself held out of its data it was not trained on.
    """
    asked = load_feedback([prompts], "prompts").groups
    known, elsewhere = _learnt(Path(run))
    return _places(asked, leaked(known, asked)), elsewhere


def remembering(
    found: Audit, model: str, against: str, asked: Sequence[Group], note: Callable[[str], None]
) -> Audit:  # fmt: skip
    """The audit with a finding where prompts that were asked are among those that `model` was trained on since it was
    `against`, as far as their runs are here. It then clears nothing. `note` is told of data that cannot be read here.
    """
    known: set[int] = set()
    for run in _runs_since(model, against):
        learnt, elsewhere = _learnt(run)
        known |= set(leaked(learnt, asked))
        for source in elsewhere:
            note(f"{run} was trained on {source}, which is no file here: whether it holds these prompts is not known.")
    if not known:
        return found
    count = f"{len(known)} of {len(asked)} prompts"
    names = _places(asked, sorted(known))
    shown = f" ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})" if names else ""
    words = f"{count} are in what it was trained on{shown}: there it shows what it was taught, not how it behaves"
    plain = f"it was trained on {count} that it was asked, and may remember the answers"
    told = replace(
        found, findings=(Finding("prompts", "not sure", words, plain), *found.findings),
        settings={**found.settings, "trained_on": len(known)},
    )  # fmt: skip
    if found.outcome != "good":
        return told
    return replace(told, outcome="not sure", verdict=f"{found.verdict} Not sure: it was trained on {count}.")


def _learnt(run: Path) -> tuple[list[Group], list[str]]:
    """The prompts that a run was trained on, and which of its data cannot be read here."""
    files = read_yaml(run / "config.yaml").get("data") or []
    here = [file for file in files if Path(file).exists()]
    known = load_feedback(here, "prompts", max_rejected=1.0).groups if here else []
    held_out = run / "held_out.jsonl"
    if known and held_out.exists() and held_out.stat().st_size:
        spared = set(leaked(load_feedback([held_out], "prompts").groups, known))
        known = [group for index, group in enumerate(known) if index not in spared]
    return known, [file for file in files if file not in here]


def _runs_since(model: str, against: str) -> Iterator[Path]:
    """The run that made a model and those that it began from, back to the model `against`."""
    end, passed = _real(against), set()
    while model and (place := _real(model)) != end and place not in passed:
        passed.add(place)
        run = Path(model).parent if Path(model).name == "model" else Path(model)
        if not (run / "config.yaml").is_file():
            return
        yield run
        model = str(read_yaml(run / "config.yaml").get("model") or "")


def _real(model: str) -> Path:
    return Path(model_directory(model)).resolve()


def _places(groups: Sequence[Group], indices: Sequence[int]) -> list[str]:
    return [f"{place[0]}:{place[1]}" for index in indices if (place := groups[index].place)]
