"""Do the 95% intervals hold what they say? Worlds with a known truth, verdicts clustered by prompt, thousands of times.

    win rate    samples of one prompt share its chance, drawn from a Beta distribution; ties; skewed rates
    slices      the same with few prompts; and how often a slice "differs" where all are alike
    length      verdicts by a logistic model with an influence of length drawn as the prior says, lengths that differ
    style       the same with length, headings, lists and bold, whose influence is not known before
    people      few judgments of people, many of a judge that agrees with them so often, and leans; also by style

Each must cover 93 to 97%; where it does not, commands must say "not sure" below that size.

    python bench/coverage.py            about ten minutes on a core
    python bench/coverage.py --smoke    a minute, every world a few times, proves nothing

What is found is written world by world, `finished` is false until all are through: a stop loses one world.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from preferably.feedback.records import Group, Message
from preferably.statistics.corrected_style import Verdicts, style_corrected
from preferably.statistics.intervals import Interval, bootstrap_mean
from preferably.statistics.length_control import PRIOR, VARIANCE, length_controlled
from preferably.statistics.prediction_powered import corrected_mean
from preferably.statistics.style_control import style_controlled

LOW, HIGH = 0.93, 0.97
CLUSTER = 4.0  # a + b of the Beta distribution of the chances of prompts: they differ by 0.22 around one half
BETWEEN = 0.8  # standard deviation of prompts, nats, in the logistic worlds
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)

Draw = Callable[[np.random.Generator, int], tuple[Interval | None, float]]  # one evaluation: the interval, the truth


def clustered(n: int, samples: int, rate: float, ties: float = 0.1) -> Draw:
    """n prompts, `samples` verdicts on each; the truth is the mean over all prompts there might be."""

    def draw(rng: np.random.Generator, seed: int) -> tuple[Interval | None, float]:
        chances = rng.beta(CLUSTER * rate, CLUSTER * (1 - rate), size=(n, 1))
        won = (rng.random((n, samples)) < chances).astype(float)
        values = np.where(rng.random((n, samples)) < ties, 0.5, won).mean(axis=1)
        return bootstrap_mean(values, seed=seed), ties / 2 + (1 - ties) * rate

    return draw


def expected(theta: float) -> float:
    """The mean over prompts of sigma(theta + u), u ~ N(0, BETWEEN^2)."""
    return float((expit(theta + BETWEEN * NODES) * WEIGHTS).sum() / WEIGHTS.sum())


def by_length(n: int, samples: int, theta: float, longer: float) -> Draw:
    """Verdicts by quality, prompt and length; the model writes `longer` spreads more. The truth is at equal length."""

    def draw(rng: np.random.Generator, seed: int) -> tuple[Interval | None, float]:
        lengths = rng.normal(longer, 1.0, size=(n, samples))
        influence = rng.normal(PRIOR, VARIANCE**0.5)
        # sd 1 by construction: dividing by what was measured would put noise of the sample into the truth
        odds = theta + BETWEEN * rng.standard_normal((n, 1)) + influence * np.tanh(lengths)
        won = (rng.random((n, samples)) < expit(odds)).astype(float)
        prompts = np.repeat(np.arange(n), samples).tolist()
        found = length_controlled(won.ravel(), lengths.ravel(), prompts, seed=seed)
        return found.interval, expected(theta)

    return draw


def by_style(n: int, samples: int, theta: float) -> Draw:
    """Verdicts by quality, prompt, length and lists; the model likes lists and hardly uses bold."""
    influence = np.array([0.5, 0.0, 0.7, 0.2])

    def draw(rng: np.random.Generator, seed: int) -> tuple[Interval | None, float]:
        x = rng.normal([0.3, 0.0, 0.6, 0.1], 1.0, size=(n, samples, 4))
        x[..., 3] *= rng.random((n, samples)) < 0.3
        odds = theta + BETWEEN * rng.standard_normal((n, 1)) + x @ influence
        won = (rng.random((n, samples)) < expit(odds)).astype(float)
        prompts = np.repeat(np.arange(n), samples).tolist()
        found = style_controlled(won.ravel(), x.reshape(-1, 4), prompts, seed=seed)
        return found.interval, expected(theta)

    return draw


def with_people(n: int, more: int, rate: float, agreement: float, bias: float = 0.8) -> Draw:
    """n prompts that people and a judge judged, `more` that the judge alone did."""

    def draw(rng: np.random.Generator, seed: int) -> tuple[Interval | None, float]:
        people = (rng.random(n + more) < rate).astype(float)
        judge = np.where(rng.random(n + more) < agreement, people, rng.random(n + more) < bias)
        return corrected_mean(people[:n], judge[:n], judge[n:]).interval, rate

    return draw


def styled_people(n: int, more: int, theta: float, agreement: float) -> Draw:
    """The same of verdicts that go with how answers look: a little of people, much of the judge where it disagrees."""

    def draw(rng: np.random.Generator, seed: int) -> tuple[Interval | None, float]:
        total = n + more
        x = rng.normal([0.3, 0.0, 0.6, 0.1], 1.0, size=(total, 4))
        x[:, 3] *= rng.random(total) < 0.3
        odds = theta + BETWEEN * rng.standard_normal(total) + x @ np.array([0.2, 0.0, 0.3, 0.1])
        people = (rng.random(total) < expit(odds)).astype(float)
        leaning = (rng.random(total) < expit(0.5 + x @ np.array([0.8, 0.0, 0.9, 0.2]))).astype(float)
        judge = np.where(rng.random(total) < agreement, people, leaning)
        numbers = range(total)
        sides = (
            Verdicts(said[part], x[part], numbers[part])
            for said, part in ((people, slice(n)), (judge, slice(n)), (judge, slice(n, None)))
        )
        return style_corrected(*sides, seed=seed).interval, expected(theta)

    return draw


def coverage(draw: Draw, repeats: int, seed: int = 0) -> dict[str, float | int]:
    """How often the interval holds the truth, how wide it is, and how often there was none."""
    rng = np.random.default_rng(seed)
    held, widths = [], []
    for number in range(repeats):
        interval, truth = draw(rng, number)
        if interval is not None:
            held.append(truth in interval)
            widths.append(interval.high - interval.low)
    return {
        "covered": float(np.mean(held)), "width": float(np.mean(widths)), "repeats": repeats,
        "none": repeats - len(held),
    }  # fmt: skip


def alike(slices: int, n: int, rate: float, repeats: int, seed: int = 0) -> dict[str, float | int]:
    """How often some slice is said to differ, of `slices` of n prompts that are all alike."""
    from preferably.evaluation.slices import slices_of

    rng = np.random.default_rng(seed)
    columns = [f'{{"kind": {at % slices}}}' for at in range(slices * n)]
    prompts = [Group((Message("user", str(at)),), columns=columns[at]) for at in range(slices * n)]
    told = 0
    for number in range(repeats):
        values = (rng.random(slices * n) < rng.beta(CLUSTER * rate, CLUSTER * (1 - rate), slices * n)).astype(float)
        told += any(one.differs for one in slices_of(prompts, values.tolist(), ["kind"], seed=number))
    return {"told": told / repeats, "repeats": repeats}


def worlds() -> list[tuple[str, dict[str, Any], Draw]]:
    """Every world: what it is about, its settings, how one evaluation in it is drawn."""
    made: list[tuple[str, dict[str, Any], Draw]] = []

    def add(name: str, make: Callable[..., Draw], **settings: Any) -> None:
        made.append((name, settings, make(**settings)))

    for rate in (0.5, 0.7, 0.9, 0.95):
        for n in (50, 100, 300):
            for samples in (1, 4):
                add("win rate", clustered, n=n, samples=samples, rate=rate)
        for n in (10, 20, 30, 40):
            add("slice", clustered, n=n, samples=1, rate=rate)
    for theta in (0.0, 1.0):
        for n, samples in ((50, 1), (100, 1), (200, 1), (100, 4)):
            for longer in (0.0, 1.0):
                add("length", by_length, n=n, samples=samples, theta=theta, longer=longer)
        for n, samples in ((50, 1), (100, 1), (200, 1), (100, 4)):
            add("style", by_style, n=n, samples=samples, theta=theta)
    for rate in (0.5, 0.7, 0.9):
        for n in (100, 300):  # fewer are refused
            for agreement in (0.5, 0.9):
                add("people", with_people, n=n, more=2000, rate=rate, agreement=agreement)
    for theta in (0.0, 1.0):
        for n, agreement in ((100, 0.5), (100, 0.9), (300, 0.7)):
            add("people, style", styled_people, n=n, more=800, theta=theta, agreement=agreement)
    return made


REPEATS = {"win rate": 1000, "slice": 2000, "length": 600, "style": 600, "people": 4000, "people, style": 600}
ALIKE = ((4, 30, 0.5), (10, 30, 0.8), (10, 50, 0.9))  # slices, prompts of each, win rate
Rows = list[dict[str, Any]]


def measure(
    every: list[tuple[str, dict[str, Any], Draw]], *, smoke: bool, keep: Callable[[Rows, Rows, bool], None]
) -> tuple[Rows, Rows]:
    """The rows of all worlds, and of slices that are alike. `keep` gets what there is after each, and whether it is
    all; a figure that `REPEATS` does not have is an error before anything is drawn."""
    if unknown := sorted({name for name, _, _ in every} - set(REPEATS)):
        raise KeyError(f"REPEATS does not say how often to draw {', '.join(unknown)}")
    rows: Rows = []
    null: Rows = []
    for name, settings, draw in every:
        row = {"figure": name, **settings, **coverage(draw, 3 if smoke else REPEATS[name])}
        row["holds"] = LOW <= row["covered"] <= HIGH
        rows.append(row)
        print(row, flush=True)
        keep(rows, null, False)
    for slices, n, rate in ALIKE:
        null.append({"slices": slices, "n": n, "rate": rate, **alike(slices, n, rate, 3 if smoke else 300)})
        keep(rows, null, len(null) == len(ALIKE))
    return rows, null


def main() -> None:
    from support.machine import facts, table, write_result

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    environment, settings = facts(), {"smoke": smoke, "cluster": CLUSTER, "between": BETWEEN}

    def keep(rows: Rows, null: Rows, finished: bool) -> None:
        values = {
            "finished": finished, "coverage": rows, "alike": null, "held": sum(row["holds"] for row in rows),
            "of": len(rows),
        }  # fmt: skip
        write_result("coverage", environment, settings, values, told=finished)

    rows, null = measure(worlds(), smoke=smoke, keep=keep)
    print(table(rows))
    print(table(null))


if __name__ == "__main__":
    main()
