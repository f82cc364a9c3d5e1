"""How many labels a reward needs when they are asked for at random, and when those that leave most doubt are asked for.

In the quickstart's world: one SFT model (of seed 0; nothing that is compared depends on it, and ten of them would take
half an hour), and for each seed prompts, replies, pairs and labelers' answers of its own. A label is the same whoever
asks for it. Every figure is of a reward that was fitted (`reward fit`) to as many labels as the table says (ties and
"unsure" count: they were asked for), and held against new replies to held-out prompts:

    truth   how often it prefers the reply that the truth prefers
    label   how often it agrees with a labeler drawn at random, expected over their known chances

`doubt` is `judging.selection.by_doubt` with the SFT model, which looks again every 50 labels and begins with the first
100 of `random`. `apart` knows what nobody can know: it draws from the third of the pairs that are furthest apart by
the truth, on which labelers are mostly right. `needed` is the share of random's labels with which a way has the
accuracy that random has at a size, by the mean over seeds (straight in the logarithm of labels), with a bootstrap
interval over seeds. `trained` are reward models all of whose weights were trained on the labels of `random`
(--trained). What is held (`goals`):

    needed at most 0.6 of 800, and at no size a lower mean accuracy than random

    python bench/selection.py             about 15 minutes on one core, and goes on where it was stopped (--work)
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
from support.savings import compared

POOL, REPLIES, HELD_OUT, HELD_OUT_REPLIES = 1000, 6, 500, 4  # prompts and replies to each
SIZES = (100, 200, 300, 400, 500, 600, 700, 800)
TRAINED = (100, 200, 400, 800)  # at which reward models are trained too
STEP, DRAWS = 50, 2  # labels between two looks, and orders and sets of answers by seed, whose mean counts
WAYS = ("random", "doubt", "apart")
EPOCHS = 4.0  # few labels take more passes than the quickstart's 8,500; the same for all
GOAL = 0.6
FAR = 2 / 3  # the quantile of what pairs differ by in truth, above which `apart` draws
SMOKE = {
    "POOL": 200,
    "REPLIES": 2,
    "HELD_OUT": 20,
    "HELD_OUT_REPLIES": 2,
    "SIZES": (100, 150),
    "TRAINED": (100, 150),
    "FAR": 0.0,
}


class World:
    """What is the same for all who ask: pairs, what labelers say of them, and what a reward model is held against."""

    def __init__(self, recipe: Any, model: Any, seed: int, sizes: dict[str, Any]) -> None:
        from preferably.evaluation.compare import answers
        from preferably.evaluation.kept_answers import texts
        from preferably.judging.linear import features_of
        from preferably.models.sampler import Decoding
        from preferably.quickstart import stages
        from preferably.quickstart.labelers import crowd_probability, label_ceiling
        from preferably.quickstart.phrasing import sample_prompts
        from preferably.quickstart.truth import score_reply

        decoding = Decoding(temperature=recipe.pair_temperature, max_tokens=recipe.max_tokens)

        def said(prompts: Sequence[Any], count: int, draw: int) -> Any:
            return texts(answers(model, stages.asked(prompts), decoding, samples=count, seed=draw))

        self.seed, self.recipe, self.model, self.sizes = seed, recipe, model, sizes
        prompts = sample_prompts(sizes["POOL"], seed + 1)
        drawn = said(prompts, sizes["REPLIES"], 2 * seed)
        pairs = [(p, a, b) for p, each in zip(prompts, drawn, strict=True) for a, b in stages.two_by_two(each)]
        self.pairs = [pair for pair in pairs if pair[1] != pair[2] and pair[1] and pair[2]]
        self.groups = [stages.pair_of(*pair) for pair in self.pairs]
        self.answer(0)
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
        self.found = {}
        groups = [*self.groups, *self.asked_of_held_out()]
        for group, features in zip(groups, features_of(model, groups), strict=True):
            for one, values in zip(group.completions, features, strict=True):
                self.found[group.prompt_text, one.text] = values

    def answer(self, draw: int) -> None:
        """What labelers say of the pairs, drawn anew."""
        from preferably.quickstart.labelers import compare

        name = f"{self.seed}" if not draw else f"{self.seed} {draw}"
        self.draw = draw
        self.labels = [compare(*pair, Random(f"label {name} {at}")) for at, pair in enumerate(self.pairs)]

    def asked_of_held_out(self) -> list[Any]:
        from preferably.feedback.records import Completion, Group, Message

        return [
            Group((Message("user", prompt.text),), tuple(Completion((Message("assistant", t),)) for t in each if t))
            for prompt, each in self.answered
            if any(each)
        ]

    def read(self, _: Any, groups: Sequence[Any]) -> list[Any]:
        """The features of replies, which are computed once."""
        return [np.stack([self.found[group.prompt_text, one.text] for one in group.completions]) for group in groups]

    def judged(self, asked: Sequence[int]) -> list[Any]:
        from preferably.feedback.records import Judged

        return [Judged(self.groups[at], (self.labels[at],)) for at in asked]

    def trained_accuracy(self, scorer: Any) -> dict[str, float]:
        """Of a trained reward model, on replies that nobody was asked about."""
        from preferably.judging.reward import score_groups, scorer_of

        groups, scores = self.asked_of_held_out(), {}
        for group, found in zip(groups, score_groups(scorer, groups), strict=True):
            for one, value in zip(group.completions, scorer_of(scorer).total(found).tolist(), strict=True):
                scores[group.prompt_text, one.text] = value
        return self.accuracy(scores)

    def accuracy(self, scores: dict[tuple[str, str], float]) -> dict[str, float]:
        """How often the scores prefer what the truth prefers, and what a labeler would."""
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
        from preferably.feedback.views import rankings
        from preferably.judging.selection import by_doubt

        world = self.world
        order = drawn(len(world.pairs), world.seed + 1000 * world.draw)
        free = sorted(set(range(len(world.pairs))) - set(asked))
        if self.by == "apart":
            far = np.quantile(np.abs(world.gaps), world.sizes["FAR"])
            free = [at for at in free if abs(world.gaps[at]) >= far]
        if self.by != "doubt" or len(asked) < world.sizes["SIZES"][0]:
            priorities: Any = order[free]
        else:
            groups, said = [world.groups[at] for at in free], rankings(world.judged(asked))
            priorities = by_doubt(world.model, groups, said, read=world.read).priorities
        return [free[at] for at in order_of(priorities)[:count]]

    def fitted(self, asked: Sequence[int]) -> dict[str, float]:
        """What a reward that is fitted to these labels is worth."""
        from preferably.feedback.views import rankings
        from preferably.judging.linear import fit

        said = rankings(self.world.judged(asked))
        weights = fit([group.ranks for group in said], self.world.read(None, said)).weights
        return self.world.accuracy({key: float(values @ weights) for key, values in self.world.found.items()})

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

    def worth(self, asked: Sequence[int], trains: bool) -> dict[str, float]:
        """What a reward model of these labels is worth, and what the labels are like."""
        world = self.world
        choices = [(world.labels[at].choice, world.gaps[at]) for at in asked]
        told = [(choice == 0) == (gap > 0) for choice, gap in choices if choice in (0, 1) and gap]
        apart = float(np.abs(world.gaps[list(asked)]).mean())
        found = world.trained_accuracy(self.trained(asked, world.seed)) if trains else self.fitted(asked)
        return found | {"labels": len(asked), "label_accuracy": float(np.mean(told)), "gap": apart}

    def curve(self, sizes: Sequence[int], *, trains: bool = False) -> list[dict[str, float]]:
        """Reward models of more and more labels."""
        asked: list[int] = []
        rows: list[dict[str, float]] = []
        for size in sizes:
            while len(asked) < size:
                found = self.more(asked, min(STEP, size - len(asked)))
                if not found:
                    raise SystemExit(f"{self.by} has {len(asked)} pairs to ask about; expected {size}.")
                asked += found
            rows.append(self.worth(asked, trains))
        return rows


def one_seed(recipe: Any, start: Path, seed: int, trains: bool, work: Path, sizes: dict[str, Any]) -> dict[str, Any]:
    """The curves of a seed; those that are there already are not made again."""
    from preferably.models.loading import load

    file = work / f"fitted-{seed}.json"
    row: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"seed": seed}
    if set(WAYS) <= set(row) and ("trained" in row or not trains):
        return row
    world = World(recipe, load(start, device="cpu"), seed, sizes)
    row |= {"pairs": len(world.pairs), "held_out_pairs": len(world.held), "ceiling": world.ceiling}
    if trains and "trained" not in row:
        row["trained"] = Asking(world, start, "random", work / f"run-{seed}").curve(sizes["TRAINED"], trains=True)
        file.write_text(json.dumps(row), encoding="utf-8")
    for by in (by for by in WAYS if by not in row):
        curves = []
        for draw in range(DRAWS):
            world.answer(draw)
            curves.append(Asking(world, start, by, work / f"run-{seed}").curve(sizes["SIZES"]))
        row[by] = [
            {name: float(np.mean([one[name] for one in each])) for name in each[0]}
            for each in zip(*curves, strict=True)
        ]
        print(f"seed {seed} {by}: " + " ".join(f"{one['truth']:.3f}" for one in row[by]), flush=True)
        file.write_text(json.dumps(row), encoding="utf-8")
    return row


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
    parser.add_argument("--trained", action="store_true", help="train reward models too: five minutes more a seed")
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
    rows = [one_seed(recipe, start, seed, options.trained, work, sizes) for seed in seeds]
    found = {by: {what: compared(rows, by, what) for what in ("truth", "label")} for by in WAYS[1:]}
    held = found["doubt"]["truth"]
    last = held["saved"][f"{sizes['SIZES'][-1]}"]["needed"] or np.inf
    goals = {
        f"doubt needs at most {GOAL:.0%} of random's labels": last <= GOAL,
        "doubt is never below random, by the mean of the seeds": min(held["ahead"]) >= 0,
    }
    trained = [row["trained"] for row in rows if "trained" in row]
    more: dict[str, Any] = {"n": len(trained)}
    for what in ("truth", "label") if trained else ():
        more[what] = np.mean([[one[what] for one in each] for each in trained], 0).tolist()
    settings = {
        "smoke": options.smoke, "seeds": seeds, "pool": sizes["POOL"], "replies": sizes["REPLIES"], "step": STEP,
        "draws": DRAWS, "trained_at": sizes["TRAINED"], "epochs": EPOCHS,
    }  # fmt: skip
    write_result("selection", environment, settings, {
        "goals": goals, "compared": found, "trained": more, "seeds": rows
    })  # fmt: skip
    for by, figures in found.items():
        for what, one in figures.items():
            names = ("labels", "random", by, "se of the difference", "seeds behind", "needed", "from", "to")
            told = [(each["needed"], *each["interval"]) for each in one["saved"].values()]
            parts = zip(one["labels"], one["random"], one[by], one["ahead_se"], one["seeds_behind"], told, strict=True)
            print(f"\n{what}: {by} beside random")
            print(table([dict(zip(names, (*line[:-1], *line[-1]), strict=True)) for line in parts]))
    print(f"trained: {more}")
    for what, good in goals.items():
        print(f"  {'yes' if good else 'NO '}  {what}")
    if not all(goals.values()) and not options.smoke:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
