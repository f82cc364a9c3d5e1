"""What the figures of a job do not show, in sentences: a page that leaves this out is an advertisement."""

from collections.abc import Iterator
from pathlib import Path

from preferably.reporting.audits import of_job
from preferably.reporting.figures import percent, plural
from preferably.reporting.judges import judge_in_words
from preferably.reporting.run_files import Record, finite, part, read_object, records, text
from preferably.statistics.planning import points_seen


def shortcomings(record: Record, directory: Path) -> Iterator[str]:
    """The limits of a job as `record` (`align.json`) and the files in `directory` tell them."""
    settings = part(record, "settings")
    for gate in records(record, "gates"):
        went_on = text(gate, "went_on")
        if went_on:
            how = "was skipped" if went_on == "skipped" else "only warns"
            yield f"The {text(gate, 'gate')} gate at {text(gate, 'stage')} was closed and {how}."
    judged = [one for one in records(record, "rounds") if part(one, "quality")]
    if not judged:
        yield "No model was judged: whether any of them got better is not known from training."
    yield from _not_asked(settings)
    yield from _left_out(record)
    yield from _of_the_judge(settings)
    rates = [read_object(directory / one["run"] / "evaluation" / "win_rate.json", []) for one in judged]
    spread = max((value for one in rates if (value := finite(one, "spread"))), default=None)
    prompts = min((int(value) for one in rates if (value := finite(one, "n"))), default=0)
    if prompts and spread:
        yield (
            f"{plural(prompts, 'held-out prompt')} tell differences of {percent(points_seen(prompts, spread), 0)} from "
            "50% in four cases of five; smaller ones may be there and not be seen."
        )
    if sum(bool(one) for one in rates) > 1:
        yield (
            "Several models were judged on the same prompts: the best of them is a little flattered. Confirm the one "
            "that you take on fresh prompts (preferably evaluate)."
        )
    yield from _of_the_audits(record, directory)


def _not_asked(settings: Record) -> Iterator[str]:
    if settings.get("train") and not settings.get("ready"):
        yield "There was no readiness gate: preferences shape what a model can do already, and teach no skill."
    if settings.get("train") and settings.get("preferences") and not settings.get("check"):
        yield "The preferences were not checked before they were trained on."


def _left_out(record: Record) -> Iterator[str]:
    """Of files of prompts in which rows cannot be asked, or say what others have said."""
    for one in records(record, "prompts"):
        counts = ("read", "used", "rejected", "repeated")
        read, used, rejected, repeated = (int(finite(one, name) or 0) for name in counts)
        why = [f"{count:,} {word}" for count, word in ((rejected, "left out"), (repeated, "repeated")) if count]
        if why:
            file = Path(text(one, "file")).name
            yield f"Of {plural(read, 'row')} of {file} {plural(used, 'prompt')} came ({', '.join(why)})."


def _of_the_audits(record: Record, directory: Path) -> Iterator[str]:
    """Of the last policy of each road, audits that found something, or could not decide."""
    last = {text(one, "road"): one for one in records(record, "rounds")}
    found: dict[str, list[str]] = {}
    teachers: dict[str, None] = {}  # that a run was audited by: the audit has a finding of them
    for road, one in last.items():
        for audit, told in sorted(of_job(directory, record, one).items()):
            found.setdefault(text(told, "outcome"), []).append(f"{audit} of {road or one['run']}")
            if audit == "run" and any(text(each, "name") == "judge" for each in records(told, "findings")):
                teachers[text(part(told, "settings"), "judge")] = None
    for judge in teachers:
        yield (
            f"{judge} audits the run and also taught it: it is not held out, and whether its taste was gamed is not "
            "known. Another judge, or people, would say."
        )
    if not found:
        yield "Nothing was audited: what was lost or hidden meanwhile was not looked for."
    if "bad" in found:
        yield f"Audits found a concern: {', '.join(found['bad'])}."
    if "not sure" in found:
        yield f"Audits that could not decide, mostly for too few prompts: {', '.join(found['not sure'])}."


def _of_the_judge(settings: Record) -> Iterator[str]:
    judge = text(part(settings, "evaluate"), "judge")
    if not judge:
        return
    if any(text(source, "judge") == judge for source in records(settings, "preferences")):
        yield (
            f"{judge} judges the models and also made preferences that they learnt: the win rate says how well its "
            "taste was learnt, and not whether people share it. Another judge, or people, would say."
        )
    if judge.endswith((".yaml", ".yml")):
        yield f"What {judge} is worth was not measured here: preferably judge audit holds it against people."
    elif not judge.startswith("people"):
        told = judge_in_words(judge)
        yield f"{told[:1].upper()}{told[1:]} sees what it was written or trained to see, and nothing else."
