"""From files to what a run trains on: read, split, encoded, and every row accounted for."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from preferably.config import Half, TrainSettings
from preferably.data.accounting import Accounting
from preferably.data.load import Aggregate, read_feedback
from preferably.data.splits import half_of, refuse_leakage, split_by_prompt
from preferably.data.tokens import TokenGroup, encode
from preferably.data.writers import row_of
from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group
from preferably.feedback.trust import Trust
from preferably.models.loading import Loaded
from preferably.training.offline import TrainData
from preferably.training.run_directory import RunDirectory

MAX_LENGTH = 2048  # tokens, unless settings or the model's context say less


def read_data(
    settings: TrainSettings,
    groups: Sequence[Group] | None,
    loaded: Loaded,
    run: RunDirectory | None,
    tell: Callable[[str], object] = lambda text: None,
) -> tuple[TrainData, list[Group], dict[str, Any]]:
    """Token groups of both parts, the records held out, and what became of every row.

    Only the tokenizer and the context of `loaded` count. The account goes to data.json of `run`, also where this fails;
    `tell` is told that of files in words.
    """
    from_files, accounting, trust = groups is None, Accounting(), None
    if groups is None:
        if not settings.data:
            raise DataError("There is nothing to train on: give --data FILE.")
        groups, trust = _read(settings.data, settings, accounting, run, settings.aggregate)
    else:
        _refuse_soft(groups, settings)
        if settings.row.scores:
            groups = [_ranked(group, row, settings) for row, group in enumerate(groups)]
        for _ in {group.place or row for row, group in enumerate(groups)}:  # groups of one row share their place
            accounting.use()
    held_out: list[Group] = []
    if settings.held_out_data:
        held_out, _ = _read(settings.held_out_data, settings, accounting, run)
        refuse_leakage(groups, held_out)
    length = _length(settings, loaded, tell)
    options: dict[str, Any] = {"max_length": length, "truncation": settings.truncation, "accounting": accounting}
    first, second = (encode(part, loaded.tokenizer, **options) for part in (groups, held_out))
    account: dict[str, Any] = {"max_length": length, "truncated": first.truncated + second.truncated}
    account |= {"trust": trust.as_json()} if trust else {}
    if run is not None:
        run.write_json("data.json", accounting.as_json() | account)
    accounting.enforce(settings.max_rejected)
    (train, half), measured = _half(first.groups, groups, settings.half), second.groups
    if not settings.held_out_data:  # split what can be used, or a held-out part of long rows would come to nothing
        held_out = [groups[group.row] for group in train]
        split = split_by_prompt(held_out, _share(settings.held_out), settings.seed)
        train, measured = [train[i] for i in split.train], [train[i] for i in split.held_out]
        kept = [held_out[i] for i in split.held_out]
    else:
        kept = [held_out[group.row] for group in measured]
    account = accounting.as_json() | account | half | {"train": len(train), "held_out": len(measured)}
    if run is not None:
        run.write_json("data.json", account)
        # With what functions of the user's own read there: an evaluation may ask them again.
        run.write_lines("held_out.jsonl", (json.loads(group.columns or "{}") | row_of(group) for group in kept))
    if from_files:
        tell(f"{accounting.describe()} {_of_half(half)}{len(train)} to train on, {len(measured)} held out.")
    if settings.held_out_data and not measured:
        raise DataError(f"All held-out groups were rejected, so nothing could be measured. {accounting.describe()}")
    if not measured and settings.chooses_best:
        raise ConfigError("patience and final = best choose by the held-out loss; hold something out (held_out > 0).")
    if not train:
        raise DataError(f"No group is left to train on. {accounting.describe()}")
    room = loaded.context or length + settings.sample_tokens
    prompts = [] if settings.row.scores else _prompts(settings, measured, room)
    asked = [groups[group.row] for group in train] if settings.row.online else ()
    return TrainData(train, measured, prompts, asked), kept, account


def _half(
    train: Sequence[TokenGroup], groups: Sequence[Group], half: Half | None
) -> tuple[Sequence[TokenGroup], dict[str, Any]]:  # fmt: skip
    """What can be used of one half of `groups`, and for the account how much there is of the other; all where there are
    no halves."""
    if half is None:
        return train, {}
    ours = set(half_of(groups, half))
    kept = [group for group in train if group.row in ours]
    return kept, {"half": {"name": half, "other": len(train) - len(kept)}}


def _of_half(told: dict[str, Any]) -> str:
    return f"{told['half']['other']} of the other half, " if told else ""


def _length(settings: TrainSettings, loaded: Loaded, tell: Callable[[str], object]) -> int:
    """The most tokens of a group; where completions are yet to be drawn, of its prompt."""
    context, length = loaded.context, settings.max_length or MAX_LENGTH
    if context is not None and context < length:
        if settings.max_length:
            tell(f"max_length {length} is more than the {context} tokens that the model takes in, which hold.")
        length = context
    if not settings.row.online or context is None:
        return length
    if context <= settings.sample_tokens:
        raise ConfigError(
            f"Completions of {settings.sample_tokens} tokens leave no room for a prompt in a context of {context} "
            "tokens; lower sample_tokens."
        )
    return min(length, context - settings.sample_tokens)


def _read(
    paths: Sequence[str],
    settings: TrainSettings,
    accounting: Accounting,
    run: RunDirectory | None,
    aggregate: Aggregate = "majority",
) -> tuple[list[Group], Trust | None]:
    """The groups in `paths`, and what their labelers counted for, if by that. Their rows are added to `accounting`, and
    that is on the disk before they are refused."""
    read = read_feedback(paths, settings.row.feedback, axes=tuple(settings.axes), aggregate=aggregate)
    accounting.merge(read.accounting)
    try:
        read.accounting.enforce(settings.max_rejected)
    except DataError:
        if run is not None:
            run.write_json("data.json", accounting.as_json())
        raise
    return read.groups, read.trust


def _ranked(group: Group, row: int, settings: TrainSettings) -> Group:
    """A group made in memory with its ranks: of a pair, the chosen one comes first."""
    if settings.axes:
        if [axis for axis, _ in group.by_axis] != list(settings.axes):
            names = ", ".join(settings.axes)
            raise DataError(f"Group {row} has no ranks on {names}; give Group.by_axis, in this order.")
        return group
    if group.ranks or len(group.completions) == 2:
        return replace(group, ranks=group.ranks or (1, 2))
    raise DataError(f"Group {row} has {len(group.completions)} completions and no ranks; give Group.ranks.")


def _refuse_soft(groups: Sequence[Group], settings: TrainSettings) -> None:
    """`ConfigError` for groups made in memory with probabilities that the method would not read."""
    if settings.aggregate != "majority":
        raise ConfigError(
            "aggregate is about data that is read from files and stores; of records in memory make the groups by "
            "feedback.views.pairs(records, trust=feedback.trust.trust_of(records))."
        )
    if any(group.probability is not None for group in groups) and (
        not settings.row.soft or settings.label_smoothing or settings.axes
    ):
        raise ConfigError(
            f"{settings.method} does not read Group.probability here; dpo, ipo, hinge and reward do, without "
            "label_smoothing and axes. Make the groups without trust."
        )


def _share(held_out: float) -> float | int:
    """A share below 1, a count from 1 on."""
    if held_out < 1:
        return held_out
    if not held_out.is_integer():
        raise ConfigError(f"held_out is a share below 1 or a whole number of groups; got {held_out:g}.")
    return int(held_out)


def _prompts(settings: TrainSettings, held_out: Sequence[TokenGroup], context: int) -> list[list[int]]:
    """Distinct held-out prompts that leave room for a sample."""
    room = context - min(settings.sample_tokens, context // 2)
    distinct = dict.fromkeys(tuple(group.prompt.tolist()) for group in held_out if len(group.prompt) <= room)
    return [list(prompt) for prompt in distinct][: settings.sample_prompts]
