"""True reward for how much drift: PPO, RLOO, GRPO, online DPO, DPO and best-of-n on real stories, one reward model.

The truth is the number of quotation marks in a continuation. Labels are drawn from it as people give them, the better
of two with chance sigmoid(marks apart), and a reward model learns from these alone. Every online method is trained
against that reward model, DPO on the same labels, and best-of-n picks by it; the truth only measures. All learn on the
same openings, the online methods with continuations of their own, and are measured on others. All get the same tries
for a learning rate: RATES, on a seed of their own, at the middle strength, of which the one with the highest reward by
the reward model, less PRICE a nat, is kept.

    python bench/online_frontier.py --folder DIR     two hours on two cores; every finished run is kept there
    python bench/online_frontier.py --folder DIR --methods ppo    a part of it, in a process of its own
    python bench/online_frontier.py --smoke          a few minutes, proves nothing
"""

import argparse
import json
import math
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import preferably
from preferably.evaluation.compare import answers
from preferably.feedback.records import Completion, Group, Message
from preferably.judging.parts import answered, reward_parts
from preferably.models.loading import Loaded, load
from preferably.models.sampler import Decoding, Sample
from preferably.statistics.best_of import expected_best, most_kl
from preferably.statistics.intervals import mean_interval
from preferably.training.measure import kl_of_samples
from support.machine import REAL, facts, table, write_result
from support.stories import MODEL, openings, rule

# What a level of strength is, for each method.
KL_COEFS = (0.5, 0.2, 0.1, 0.05, 0.02)
LEVELS: dict[str, tuple[str, tuple[float, ...]]] = {
    "ppo": ("kl_coef", KL_COEFS),
    "rloo": ("kl_coef", KL_COEFS),
    "grpo": ("kl_coef", KL_COEFS),
    "online-dpo": ("beta", (1.0, 0.5, 0.2, 0.1, 0.05)),
    "dpo": ("beta", (2.0, 1.0, 0.5, 0.2, 0.1)),
}
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
OPTIONS: dict[str, dict[str, Any]] = {
    "ppo": {"samples_per_prompt": 4, "update_epochs": 2, "minibatches": 4},
    "rloo": {"samples_per_prompt": 4},
    "grpo": {"samples_per_prompt": 4},
    "online-dpo": {"samples_per_prompt": 4},
    "dpo": {"epochs": 3},
}
TUNED_ON = 900  # the seed of the tries
PRICE = 0.1  # of a nat, in a try: the middle coefficient of the online methods, in units of the reward
TOKENS = 48  # of a continuation
WARMUP = 0.1  # of every run, the online ones too, whose default is none
DRAWS = 3  # of best-of-n's samples
BEST_OF = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; counts are of openings."""

    labeled: int = 1845  # all that there are: two continuations each, for the reward model and DPO
    prompts: int = 960  # of the same, for the online methods: four continuations each
    batch: int = 32
    unseen: int = 400
    samples: int = 2
    many: int = 64  # continuations of an unseen opening, for best-of-n


SMOKE = Size(labeled=80, prompts=64, batch=16, unseen=24, many=8)


@dataclass(frozen=True, slots=True)
class World:
    """The start model, its reward model, and what to train and measure on."""

    start: Loaded
    reward: Path
    pairs: list[Group]
    prompts: list[Group]
    unseen: list[Group]


def drawn(loaded: Loaded, prompts: list[Group], samples: int, seed: int) -> list[list[Sample]]:
    return answers(loaded, prompts, Decoding(1.0, max_tokens=TOKENS), samples=samples, seed=seed)


def labelled(start: Loaded, prompts: list[Group], seed: int) -> list[Group]:
    """Pairs of the start's continuations, the one that a noisy labeler prefers first; ties in truth by a coin."""
    chance = random.Random(seed)
    made = []
    for prompt, (a, b) in zip(prompts, drawn(start, prompts, 2, seed), strict=True):
        if a.text == b.text or not a.text.strip() or not b.text.strip():
            continue
        marks = rule([], [a.text, b.text])
        first = chance.random() < 1 / (1 + math.exp(marks[1] - marks[0]))
        ordered = (a, b) if first else (b, a)
        made.append(Group(prompt.prompt, tuple(Completion((Message("text", one.text),)) for one in ordered)))
    return made


def build(size: Size, folder: Path) -> tuple[World, dict[str, Any]]:
    """The world, and how well the reward model knows the truth."""
    start = load(str(MODEL), device="cpu", dtype="float32")
    train_on, unseen = openings(start.tokenizer, size.unseen, 0)
    if len(train_on) < max(size.labeled, size.prompts):
        raise SystemExit(f"the text has {len(train_on)} openings to train on; expected {size.labeled}")

    def groups(ids: list[list[int]]) -> list[Group]:
        return [Group((Message("text", start.tokenizer.decode(one, skip_special_tokens=True)),)) for one in ids]

    pairs = labelled(start, groups(train_on[: size.labeled]), seed=1)
    reward = folder / "reward"
    if not (reward / "model").is_dir():
        preferably.train(
            "reward", model=MODEL, data=pairs, output=reward, learning_rate=3e-4, batch_size=16, epochs=3,
            weight_decay=0.1, device="cpu", dtype="float32",
        )  # fmt: skip
    world = World(start, reward, pairs, groups(train_on[: size.prompts]), groups(unseen))
    said = drawn(start, world.unseen, 2, seed=2)
    scores, truths = by_reward(world, said), by_truth(said)
    gaps = [(s[0] - s[1], t[0] - t[1]) for s, t in zip(scores, truths, strict=True) if t[0] != t[1]]
    right = fmean(0.5 + 0.5 * math.copysign(1, s * t) if s else 0.5 for s, t in gaps)
    return world, {"pairs": len(pairs), "unseen_pairs": len(gaps), "agrees_with_truth": right}


def by_reward(world: World, said: list[list[Sample]]) -> list[list[float]]:
    (part,) = reward_parts([str(world.reward)])
    records = [answered(p, [one.text for one in several]) for p, several in zip(world.unseen, said, strict=False)]
    scores = part.score(records)
    if None in scores:
        raise SystemExit("the reward model cannot read some of the continuations")
    known = iter(scores)
    return [[next(known) for _ in several] for several in said]


def by_truth(said: list[list[Sample]]) -> list[list[float]]:
    return [rule([], [one.text for one in several]) for several in said]


def measured(world: World, model: Loaded, size: Size, seed: int) -> dict[str, Any]:
    """Reward, truth and KL on openings that training never saw."""
    from preferably.data.tokens import encode_prompts

    said = drawn(model, world.unseen, size.samples, seed)
    ids = encode_prompts(world.unseen, model.tokenizer, max_length=512)
    kl = kl_of_samples(model.policy, world.start.policy, ids, said)
    spread = {"reward": by_reward(world, said), "truth": by_truth(said)}
    found: dict[str, Any] = {"kl": fmean(kl)}
    for name, values in spread.items():
        each = [fmean(several) for several in values]
        interval = mean_interval(each)
        found[name] = {"mean": fmean(each), "interval": [interval.low, interval.high]}
    return found


def one_run(
    world: World, method: str, level: float, rate: float, size: Size, seed: int, folder: Path, fresh: bool = True
) -> dict[str, Any] | None:
    """A run and what it came to; one that `folder` knows from before is not made again. None for one that it does not
    know, unless it may be made `fresh`."""
    key = json.dumps([method, level, rate, seed, asdict(size), OPTIONS[method]])
    journal = folder / "runs.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    for line in map(json.loads, lines):
        if line["key"] == key:
            return dict(line["run"])
    if not fresh:
        return None
    with TemporaryDirectory() as place:
        run = fresh_run(world, method, level, rate, size, seed, Path(place) / "run")
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": key, "run": run}) + "\n")
    return run


def fresh_run(
    world: World, method: str, level: float, rate: float, size: Size, seed: int, folder: Path
) -> dict[str, Any]:
    began = time.perf_counter()
    name, _ = LEVELS[method]
    online = method != "dpo"
    options: dict[str, Any] = {name: level, "learning_rate": rate, "batch_size": size.batch, "seed": seed}
    options |= OPTIONS[method] | {"device": "cpu", "dtype": "float32", "sample_tokens": TOKENS, "held_out": 64}
    options["warmup"] = WARMUP
    if online:
        options["reward"] = (str(world.reward),)
    run = preferably.train(method, model=MODEL, data=world.prompts if online else world.pairs, output=folder, **options)
    if run.stopped_by is not None:
        raise SystemExit("asked to stop: what the run had reached is no result")
    found = measured(world, run.loaded, size, seed + 1)
    return {"method": method, name: level, "learning_rate": rate, "seed": seed} | found | {
        "warnings": run.state.alarms, "reason": run.state.reason, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def best_of(world: World, size: Size) -> list[dict[str, Any]]:
    """What picking by the reward model gives in reward and in truth, mean of some draws."""
    draws = []
    for draw in range(DRAWS):
        said = drawn(world.start, world.unseen, size.many, seed=3 + 1000 * draw)
        draws.append((by_reward(world, said), by_truth(said)))
    rows = []
    for n in (n for n in BEST_OF if n <= size.many):
        row: dict[str, Any] = {"n": n, "kl": most_kl(n)}
        for which, name in enumerate(("reward", "truth")):
            each = [[expected_best(s, v, n) for s, v in zip(draw[0], draw[which], strict=True)] for draw in draws]
            of_opening = [fmean(several) for several in zip(*each, strict=True)]
            interval = mean_interval(of_opening)
            row[name] = {
                "mean": fmean(of_opening), "interval": [interval.low, interval.high],
                "draws": [fmean(draw) for draw in each],
            }  # fmt: skip
        rows.append(row)
    return rows


def of_method(
    world: World, method: str, size: Size, folder: Path, options: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The tries of a method, and its runs at the best rate: by seed, so that every level has as many, within one, where
    this is stopped."""
    _, levels = LEVELS[method]
    rates = RATES
    if options.smoke:
        levels, rates = levels[2:3], rates[2:3]
    middle, fresh, runs = levels[len(levels) // 2], not options.known, []
    tried = [run for rate in rates if (run := one_run(world, method, middle, rate, size, TUNED_ON, folder, fresh))]
    rate = max(tried, key=lambda run: run["reward"]["mean"] - PRICE * run["kl"])["learning_rate"]
    for seed in range(1 if options.smoke else options.seeds):
        for level in levels:
            if one := one_run(world, method, level, rate, size, seed, folder, fresh):
                runs.append(one)
                print(
                    f"{method} {level:g} seed {seed}: truth {one['truth']['mean']:.2f}, reward "
                    f"{one['reward']['mean']:.2f} at {one['kl']:.2f} nats, {one['seconds']} s",
                    flush=True,
                )
    return tried, runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=tuple(LEVELS), default=tuple(LEVELS))
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument(
        "--folder", type=Path, help="where the reward model and finished runs are kept, and found again"
    )
    parser.add_argument("--known", action="store_true", help="only the runs that the folder has: nothing is trained")
    parser.add_argument("--smoke", action="store_true", help="a few openings, one level, one seed")
    options = parser.parse_args()
    if not REAL.is_dir():
        return print(f"not measured: {REAL} is not there, and this benchmark needs its model and text")
    environment, size = facts(), SMOKE if options.smoke else Size()
    runs: list[dict[str, Any]] = []
    tries: list[dict[str, Any]] = []
    with TemporaryDirectory() as place:
        folder = options.folder or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        world, worth = build(size, folder)
        print(f"reward model: {worth}", flush=True)
        for method in options.methods:
            found = of_method(world, method, size, folder, options)
            tries += found[0]
            runs += found[1]
        references = best_of(world, size)
    settings = {
        "smoke": options.smoke,
        "size": {n: getattr(size, n) for n in Size.__slots__},
        "levels": LEVELS,
        "rates": RATES,
        "warmup": WARMUP,
        "options": OPTIONS,
    }
    write_result("online_frontier", environment, settings, {
        "reward_model": worth, "tries": tries, "runs": runs, "best_of_n": references,
        "seconds": round(sum(run["seconds"] for run in [*tries, *runs]), 1),
    })  # fmt: skip
    named = [(run["method"], run) for run in sorted(runs, key=lambda run: (run["method"], run["kl"]))]
    shown = [
        {"what": what} | {"kl": one["kl"]} | {name: one[name]["mean"] for name in ("truth", "reward")}
        for what, one in [*named, *((f"best of {row['n']}", row) for row in references)]
    ]
    print("\n" + table(shown))


if __name__ == "__main__":
    main()
