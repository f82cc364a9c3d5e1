"""How many labels a reward model needs when they are asked for at random, and when those that tell most are asked for.

In the quickstart's world: one SFT model (of seed 0; nothing that is compared depends on it, and ten of them would take
half an hour), and for each seed prompts, replies, pairs, labelers' answers and training of its own. A label is the same
whoever asks for it. Every figure is of a reward model that was really trained, from the SFT model, on as many labels as
the table says (ties and "unsure" count: they were asked for), and held against new replies to held-out prompts:

    truth   how often it prefers the reply that the truth prefers
    label   how often it agrees with a labeler drawn at random, expected over their known chances

`information` is `judging.selection.by_states` with the SFT model, `ensemble` is `by_ensemble` with three reward models
of the labels so far. The first 100 labels are those of `random`; each looks again at every size. `needed` is the share
of random's labels with which it has the accuracy that random ends with, by the mean over seeds (interpolated in the
logarithm of labels), with a bootstrap interval over seeds. What is held (`goals`):

    needed at most 0.6, and at no size a lower mean accuracy than random

    python bench/selection.py             about 45 minutes on one core, and goes on where it was stopped (--work)
    python bench/selection.py --smoke     a minute or two, untrained models, proves nothing
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from support.children import parser_of
from support.machine import facts, matmul_rates, table, write_result
from support.quickstart import TINY

POOL, REPLIES, HELD_OUT, HELD_OUT_REPLIES = 1000, 6, 500, 4  # prompts and replies to each
SIZES = (100, 200, 400, 800)
EPOCHS = 4.0  # few labels take more passes than the quickstart's 8,500; the same for all
GOAL = 0.6
ENSEMBLE = 3  # reward models, where they are asked to disagree
SMOKE = {"POOL": 24, "REPLIES": 2, "HELD_OUT": 20, "HELD_OUT_REPLIES": 2, "SIZES": (8, 16)}


class World:
    """What is the same for all who ask: pairs, what labelers say of them, and what a reward model is held against."""

    def __init__(self, recipe: Any, model: Any, seed: int, sizes: dict[str, Any]) -> None:
        from preferably.evaluation.compare import answers
        from preferably.evaluation.kept_answers import texts
        from preferably.judging.states import last_states
        from preferably.models.sampler import Decoding
        from preferably.quickstart import stages
        from preferably.quickstart.labelers import compare, crowd_probability, label_ceiling
        from preferably.quickstart.phrasing import sample_prompts
        from preferably.quickstart.truth import score_reply

        decoding = Decoding(temperature=recipe.pair_temperature, max_tokens=recipe.max_tokens)

        def said(prompts: Sequence[Any], count: int, draw: int) -> Any:
            return texts(answers(model, stages.asked(prompts), decoding, samples=count, seed=draw))

        self.seed, self.recipe, self.model = seed, recipe, model
        prompts = sample_prompts(sizes["POOL"], seed + 1)
        drawn = said(prompts, sizes["REPLIES"], 2 * seed)
        pairs = [(p, a, b) for p, each in zip(prompts, drawn, strict=True) for a, b in stages.two_by_two(each)]
        self.pairs = [pair for pair in pairs if pair[1] != pair[2] and pair[1] and pair[2]]
        self.groups = [stages.pair_of(*pair) for pair in self.pairs]
        self.labels = [compare(*pair, Random(f"label {seed} {at}")) for at, pair in enumerate(self.pairs)]
        self.gaps = np.array([score_reply(p, a).total - score_reply(p, b).total for p, a, b in self.pairs])
        held = sample_prompts(sizes["HELD_OUT"], seed, "held_out")
        self.answered = list(zip(held, said(held, sizes["HELD_OUT_REPLIES"], 2 * seed + 1), strict=True))
        compared = [
            (p, a, b) for p, each in self.answered for at, a in enumerate(each) for b in each[at + 1 :] if a != b
        ]
        self.held = [pair for pair in compared if pair[1] and pair[2]]
        self.truth = np.array([score_reply(p, a).total - score_reply(p, b).total for p, a, b in self.held])
        self.chance = np.array([crowd_probability(*pair) for pair in self.held])
        self.ceiling = label_ceiling(self.held)
        self.states = {}
        for group, found in zip(self.groups, last_states(model, self.groups), strict=True):
            for one, state in zip(group.completions, found, strict=True):
                self.states[group.prompt, one.text] = state

    def read(self, _: Any, groups: Sequence[Any]) -> list[Any]:
        """The states of replies of the pool, which are computed once."""
        return [np.stack([self.states[group.prompt, one.text] for one in group.completions]) for group in groups]

    def judged(self, asked: Sequence[int]) -> list[Any]:
        from preferably.feedback.records import Judged

        return [Judged(self.groups[at], (self.labels[at],)) for at in asked]

    def accuracy(self, scorer: Any) -> dict[str, float]:
        """Of a trained reward model, on replies that nobody was asked about."""
        from preferably.feedback.records import Completion, Group, Message
        from preferably.judging.reward import score_groups, scorer_of

        groups = [
            Group((Message("user", prompt.text),), tuple(Completion((Message("assistant", t),)) for t in each if t))
            for prompt, each in self.answered
        ]
        scores = {}
        for group, found in zip(groups, score_groups(scorer, groups), strict=True):
            for one, value in zip(group.completions, scorer_of(scorer).total(found).tolist(), strict=True):
                scores[group.prompt_text, one.text] = value
        margin = np.array([scores[p.text, a] - scores[p.text, b] for p, a, b in self.held])
        right = np.where(margin == 0, 0.5, (margin > 0) == (self.truth > 0))[self.truth != 0]
        agreed = np.where(margin == 0, 0.5, np.where(margin > 0, self.chance, 1 - self.chance))
        return {"truth": float(right.mean()), "label": float(agreed.mean())}


class Asking:
    """One way of asking, on the labels of one world."""

    def __init__(self, world: World, start: Path, by: str, folder: Path) -> None:
        self.world, self.start, self.by, self.folder = world, start, by, folder

    def more(self, asked: Sequence[int], count: int) -> list[int]:
        """The pairs to ask about next, `count` of those that were not asked about."""
        from preferably.feedback.selection import drawn, order_of

        free = sorted(set(range(len(self.world.pairs))) - set(asked))
        if self.by == "random" or not asked:
            priorities: Any = drawn(len(self.world.pairs), self.world.seed)[free]
        else:
            priorities = self.selected([self.world.groups[at] for at in free], asked, count).priorities
        return [free[at] for at in order_of(priorities)[:count]]

    def selected(self, groups: Sequence[Any], asked: Sequence[int], count: int) -> Any:
        from preferably.feedback.views import pairs
        from preferably.judging.selection import by_ensemble, by_states

        world = self.world
        if self.by == "ensemble":
            models = [self.trained(asked, 1000 * member + world.seed) for member in range(1, ENSEMBLE + 1)]
            return by_ensemble(models, groups, "information")
        options: dict[str, Any] = {"read": world.read, "ahead": count, "seed": world.seed}
        return by_states(world.model, groups, pairs(world.judged(asked)), self.by, **options)  # type: ignore[arg-type]

    def trained(self, asked: Sequence[int], seed: int) -> Any:
        """A reward model of these labels."""
        from preferably.config import settings
        from preferably.feedback.views import rankings
        from preferably.training.closing import Progress
        from preferably.training.run import train

        recipe = self.world.recipe
        chosen = settings({
            "method": "reward", "model": str(self.start), "output": str(self.folder), "seed": seed, "held_out": 0,
            "learning_rate": recipe.reward_learning_rate, "batch_size": recipe.reward_batch_size,
            "epochs": EPOCHS, "weight_decay": 0.1,
        })  # fmt: skip
        shutil.rmtree(self.folder, ignore_errors=True)
        run = train(chosen, groups=rankings(self.world.judged(asked)), progress=Progress())
        shutil.rmtree(self.folder)
        return run.loaded

    def worth(self, asked: Sequence[int]) -> dict[str, float]:
        """What a reward model of these labels is worth, and what the labels are like."""
        world = self.world
        choices = [(world.labels[at].choice, world.gaps[at]) for at in asked]
        told = [(choice == 0) == (gap > 0) for choice, gap in choices if choice in (0, 1) and gap]
        apart = float(np.abs(world.gaps[list(asked)]).mean())
        found = world.accuracy(self.trained(asked, world.seed))
        return found | {"labels": len(asked), "label_accuracy": float(np.mean(told)), "gap": apart}

    def curve(self, sizes: Sequence[int], random: Sequence[dict[str, float]]) -> list[dict[str, float]]:
        """Reward models of more and more labels; the first one is that of `random`, whose labels it shares."""
        asked: list[int] = []
        rows: list[dict[str, float]] = []
        for size in sizes:
            asked += self.more(asked, size - len(asked))
            found = random[0] if random and not rows else self.worth(asked)
            rows.append(found)
            print(f"seed {self.world.seed} {self.by} {size}: {found['truth']:.3f} by the truth", flush=True)
        return rows


def one_seed(
    recipe: Any, start: Path, seed: int, ways: Sequence[str], work: Path, sizes: dict[str, Any]
) -> dict[str, Any]:
    """The curves of a seed; those that are there already are not made again."""
    from preferably.models.loading import load

    file = work / f"seed-{seed}.json"
    row: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"seed": seed}
    missing = [by for by in ways if by not in row]
    if missing:
        world = World(recipe, load(start, device="cpu"), seed, sizes)
        row |= {"pairs": len(world.pairs), "held_out_pairs": len(world.held), "ceiling": world.ceiling}
        for by in missing:
            asking = Asking(world, start, by, work / f"run-{seed}")
            row[by] = asking.curve(sizes["SIZES"], row.get("random", []))
            file.write_text(json.dumps(row), encoding="utf-8")
    return row


def needed(labels: Sequence[int], accuracy: Sequence[float], goal: float) -> float | None:
    """Labels with which a curve first has the accuracy `goal`, straight in the logarithm between sizes; None where it
    never has, the first size where it begins with more."""
    if accuracy[0] >= goal:
        return float(labels[0])
    for at in range(1, len(labels)):
        if accuracy[at] >= goal:
            part = (goal - accuracy[at - 1]) / (accuracy[at] - accuracy[at - 1])
            return float(labels[at - 1] ** (1 - part) * labels[at] ** part)
    return None


def compared(rows: Sequence[dict[str, Any]], by: str, what: str) -> dict[str, Any]:
    """One way of asking beside random, by the accuracy `what`, on the seeds that were run with both."""
    rows = [row for row in rows if by in row]
    labels = [one["labels"] for one in rows[0][by]]
    mine, other = (np.array([[one[what] for one in row[way]] for row in rows]) for way in (by, "random"))

    def share(these: np.ndarray) -> float:
        found = needed(labels, mine[these].mean(0), other[these].mean(0)[-1])
        return np.inf if found is None else found / labels[-1]

    everyone = np.arange(len(rows))
    random = np.random.default_rng(0)
    again = [share(random.integers(len(rows), size=len(rows))) for _ in range(2000)]
    low, high = np.quantile(again, [0.025, 0.975], method="inverted_cdf")
    ahead = mine - other
    error = ahead.std(0, ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else np.zeros(len(labels))
    return {
        "labels": labels, "random": other.mean(0).tolist(), by: mine.mean(0).tolist(),
        "n": len(rows), "needed": _finite(share(everyone)), "interval": [_finite(low), _finite(high)],
        "needed_by_seed": [_finite(share(np.array([at]))) for at in everyone],
        "ahead": ahead.mean(0).tolist(), "ahead_se": error.tolist(), "seeds_behind": (ahead < 0).sum(0).tolist(),
    }  # fmt: skip


def _finite(value: float) -> float | None:
    """None for more labels than were asked for."""
    return float(value) if np.isfinite(value) else None


def start_of(recipe: Any, work: Path) -> Path:
    """The SFT model, made once."""
    import torch

    from preferably.quickstart import stages
    from preferably.training.closing import Progress

    if not (work / "sft" / "model" / "config.json").exists():
        shutil.rmtree(work / "base", ignore_errors=True)
        shutil.rmtree(work / "sft", ignore_errors=True)
        base = stages.base_stage(recipe, 0, work / "base", torch.device("cpu"), Progress())
        stages.sft_stage(recipe, 0, base.loaded, work / "sft", Progress())
    return work / "sft" / "model"


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "tiny models, two seeds")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument(
        "--ways",
        nargs="+",
        default=["random", "information"],
        help="also: uncertainty, and ensemble, which takes three times as long",
    )
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "preferably-selection")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    from preferably.quickstart.recipe import Recipe

    recipe = replace(Recipe(), **TINY) if options.smoke else Recipe()
    sizes: dict[str, Any] = {name: globals()[name] for name in SMOKE} | (SMOKE if options.smoke else {})
    work = options.work.with_name(f"{options.work.name}-smoke") if options.smoke else options.work
    if options.smoke:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    environment = facts() | {"matmul_gflops": matmul_rates()}
    start = start_of(recipe, work)
    seeds = options.seeds[:2] if options.smoke else options.seeds
    rows = [one_seed(recipe, start, seed, options.ways, work, sizes) for seed in seeds]
    found = {
        by: {what: compared(rows, by, what) for what in ("truth", "label")}
        for by in ("information", "uncertainty", "ensemble")
        if any(by in row for row in rows)
    }
    held = found["information"]["truth"]
    goals = {
        f"information needs at most {GOAL:.0%} of random's labels": (held["needed"] or np.inf) <= GOAL,
        "information is never below random, by the mean of the seeds": min(held["ahead"]) >= 0,
    }
    settings = {
        "smoke": options.smoke, "seeds": seeds, "pool": sizes["POOL"], "replies": sizes["REPLIES"], "epochs": EPOCHS
    }  # fmt: skip
    write_result("selection", environment, settings, {"goals": goals, "compared": found, "seeds": rows})
    for by, figures in found.items():
        for what, one in figures.items():
            lines = zip(one["labels"], one["random"], one[by], one["ahead_se"], one["seeds_behind"], strict=True)
            names = ("labels", "random", by, "se of the difference", "seeds behind")
            print(f"\n{what}: {by} needs {one['needed']} of random's labels {one['interval']}")
            print(table([dict(zip(names, line, strict=True)) for line in lines]))
    for what, good in goals.items():
        print(f"  {'yes' if good else 'NO '}  {what}")
    if not all(goals.values()) and not options.smoke:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
