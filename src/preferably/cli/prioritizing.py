"""`preferably label prioritize`: what people are asked next."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from preferably.cli.label_serving import DEFAULT, StoreName
from preferably.errors import ConfigError, DataError
from preferably.feedback.selection import NOISE

if TYPE_CHECKING:
    from preferably.feedback.records import Group
    from preferably.feedback.store.store import Store
    from preferably.judging.selection import Selected

WAYS = ("doubt", "information", "uncertainty", "random")
SHOWN = 5  # of the tasks that come first


def prioritize(
    batch: Annotated[str, typer.Option(help="whose open tasks are put in order")],
    store: StoreName = DEFAULT,
    model: Annotated[
        str | None, typer.Option(help="a language model, to which a reward is fitted by the verdicts so far")
    ] = None,
    reward: Annotated[
        list[str] | None, typer.Option(help="a reward model; several, each by its own --reward, may disagree")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="doubt (--model), information or uncertainty (--reward), or random")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(min=0, max=0.99, help=f"share of verdicts that say nothing (--reward) [{NOISE}]")
    ] = None,
    seed: Annotated[int, typer.Option(help="of a random order")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Put the tasks first that tell most: by what the verdicts so far leave open, or where reward models disagree."""
    from preferably.feedback.store.store import Store
    from preferably.labeling.priorities import askable, open_tasks, prioritize

    rewards = reward or []
    by = by or ("doubt" if model else "information")
    _check(by, model, rewards, noise)
    console = Console(highlight=False)
    with Store(store, create=False) as opened:
        found = open_tasks(opened, batch)
        tasks = askable(found)
        if not tasks:
            raise DataError(
                f"The batch {batch!r} has no open task that compares completions ({len(found):,} open in all); queue "
                "pairs or rankings with `preferably label queue`."
            )
        groups = [task.group for task in tasks]
        selected = _selected(opened, groups, by, model, rewards, noise, seed, device, console)
        given = [(task, one) for task, one in zip(tasks, selected.priorities, strict=True) if one is not None]
        written = prioritize(opened, {task.number: one for task, one in given})
    unread, single = len(tasks) - len(given), len(found) - len(tasks)
    said = f"{written:,} tasks of the batch {batch} are asked in the order of {_order(by, model, selected)}."
    console.print(Text(said), soft_wrap=True)
    for count, why in (
        (unread, "keep their place: a model could not read them (too long, or refused by its template)"),
        (single, "keep their place: of one completion nothing can be chosen"),
        (len(given) - written, "were answered in the meantime"),
    ):
        if count:
            console.print(Text(f"{count:,} {why}."), soft_wrap=True)
    if given and by != "random" and not selected.by_chance:
        console.print()
        first = sorted(given, key=lambda pair: -pair[1])
        _show(console, [(task.group, one) for task, one in first], "doubt" if by == "doubt" else "nats")


def _check(by: str, model: str | None, rewards: list[str], noise: float | None) -> None:
    """Refuse what does not go together, before anything is opened or loaded."""
    if by not in WAYS:
        raise ConfigError(f"--by is {', '.join(WAYS[:-1])} or {WAYS[-1]}; got {by!r}.")
    if by == "random" and (model or rewards):
        raise ConfigError("A random order needs no model; leave --model and --reward out, or give another --by.")
    if noise is not None and not rewards:
        raise ConfigError("--noise is of verdicts that reward models foresee; give it with --reward, or leave it out.")
    if model and rewards:
        raise ConfigError("Give either --model or --reward: they are two ways of knowing what is not known yet.")
    if by != "random" and not (model or rewards):
        raise ConfigError(
            "Give --model, a language model to which a reward is fitted by the verdicts so far, or --reward, a reward "
            "model, two or more of them for information."
        )
    if (by == "doubt") != bool(model) and by != "random":
        raise ConfigError(f"--by doubt goes with --model, information and uncertainty with --reward; got --by {by}.")
    if twice := [name for name, times in Counter(rewards).items() if times > 1]:
        raise ConfigError(f"--reward {twice[0]} was given twice; the same model never disagrees with itself.")
    if by == "information" and len(rewards) == 1:
        raise ConfigError(
            "One reward model alone cannot disagree with itself: it gives uncertainty only (--by uncertainty). For "
            "information give a second --reward, or --model, which goes by the verdicts so far."
        )


def _selected(
    store: "Store", groups: "list[Group]", by: Any, model: str | None, rewards: list[str], noise: float | None,
    seed: int, device: str, console: Console,
) -> "Selected":  # fmt: skip
    if by == "random":
        from preferably.feedback.selection import drawn
        from preferably.judging.selection import Selected

        return Selected(list(drawn(len(groups), seed).tolist()))
    from preferably.feedback.views import rankings
    from preferably.judging.selection import by_doubt, by_ensemble
    from preferably.models.loading import load, load_reward, model_directory

    if model is None:
        loaded = [load_reward(name, device=device) for name in rewards]
        selected = by_ensemble(loaded, groups, by, noise=NOISE if noise is None else noise)
    else:
        loaded = [load(model_directory(model), device=device)]
        selected = by_doubt(loaded[0], groups, rankings(store.judged()), seed=seed)
    for note in (note for one in loaded for note in one.notes):
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)
    return selected


def _order(by: str, model: str | None, selected: "Selected") -> str:
    if by == "random":
        return "chance"
    if selected.by_chance:
        return f"chance: there are {selected.verdicts:,} verdicts so far, too few to tell what is not known"
    if model is None:
        return "how much the reward models disagree" if by == "information" else "how uncertain the verdict is"
    return f"how unsure it is which is the better one, by {selected.verdicts:,} verdicts so far"


def _show(console: Console, given: "list[tuple[Group, float]]", unit: str) -> None:
    """The first ones, and what the last one has."""
    from preferably.data.accounting import printable

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(unit, justify="right", no_wrap=True, min_width=6)
    table.add_column("asked first", no_wrap=True, overflow="ellipsis")
    for group, value in given[:SHOWN]:
        table.add_row(f"{value:.3f}", Text(printable(" ".join(group.prompt_text.split()))))
    if len(given) > SHOWN:
        table.add_row(f"{given[-1][1]:.3f}", Text(f"the last of {len(given):,}", style="dim"))
    console.print(table)
    if unit == "doubt":
        console.print()
        line = "doubt  the chance that what looks better is worse; of two pairs of one prompt the second counts half"
        console.print(Text(line, style="dim"), soft_wrap=True)
