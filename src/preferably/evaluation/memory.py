"""Which prompts of an evaluation, or of an audit, a model was trained on: there it would be rewarded for memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from preferably.config import read_yaml
from preferably.data.load import load_feedback, load_prompts
from preferably.data.splits import half_of, leaked
from preferably.errors import PreferablyError
from preferably.evaluation.audit import Audit
from preferably.evaluation.findings import Finding
from preferably.feedback.records import Group
from preferably.feedback.store.naming import is_store
from preferably.models.loading import model_directory

SHOWN = 3  # prompts that a finding names


def seen(run: str | Path, prompts: str | Path) -> tuple[list[str], list[str]]:
    """Which prompts of a file a run was trained on, as `file:line`; and which of its data cannot be read here.

    What the run itself held out of its data it was not trained on.
    """
    asked = load_prompts([prompts]).groups
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
            note(f"{run} was trained on {source}: whether these prompts are among it is not known.")
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
    """The prompts that a run was trained on, and which of its data cannot be read here, each with why."""
    told = read_yaml(run / "config.yaml")
    unread = [] if told.get("data") else ["groups that were made in Python, which no file here holds"]
    known, mixed = (_all_prompts(told.get(role) or [], unread) for role in ("data", "ptx_data"))
    if told.get("half") and not unread:  # without all of its data the halves are not known
        known = [known[index] for index in half_of(known, told["half"])]
    held_out = run / "held_out.jsonl"
    if known and held_out.exists() and held_out.stat().st_size:
        spared = set(leaked(_all_prompts([held_out], unread), known))
        known = [group for index, group in enumerate(known) if index not in spared]
    return [*known, *mixed], unread


def _all_prompts(files: Sequence[str | Path], unread: list[str]) -> list[Group]:
    """The prompts in files and stores. `unread` is told which cannot be read, and why: that ends no audit."""
    found: list[Group] = []
    for file in files:
        if not is_store(file) and not Path(file).exists():
            unread.append(f"{file}, which is no file here")
            continue
        try:
            found += load_feedback([file], "prompts", max_rejected=1.0).groups
        except PreferablyError as error:
            unread.append(f"{file}, which cannot be read for prompts ({str(error).rstrip('.')})")
    return found


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
