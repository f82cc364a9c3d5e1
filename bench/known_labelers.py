"""What is told of labelers, held against labelers of known reliability, leanings and drift, many times.

    reliability  the interval of each labeler's chance to be right, for several numbers of questions and of labelers
    shares       exact intervals of choices of the first one shown, and of gold
    agreement    labelers with leads, raw and beyond chance
    course       the share of right verdicts, early and late, of labelers one of whom becomes worse
    alarms       how often anybody is said to lean to a side, or to click one, who does not; and one who does
    random       one of ten answers at random: how many of these are found, how many others are taken for one
    labels       the truth by majority, and by posterior: how many are wrong, and what they cost (log loss, nats)
    hard         reliability again, where questions differ in how hard they are, which the model does not know

An interval must cover 93 to 97%, an exact one 95% or more; alarms must come in 5% at most (and two standard deviations
of so many repeats more).

    python bench/known_labelers.py            about three minutes on a core
    python bench/known_labelers.py --only course
    python bench/known_labelers.py --smoke    seconds, proves nothing
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import binom

from preferably.feedback.course import courses_of
from preferably.feedback.habits import habits_of
from preferably.feedback.questions import Said, questions_of
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.feedback.trust import PRIOR, coins_of
from preferably.statistics.agreement import between, raw_between, with_interval
from preferably.statistics.coin import Verdicts, one_coin
from preferably.statistics.intervals import exact
from preferably.statistics.multiple import holm
from preferably.statistics.randomness import who_is_random

LOW, HIGH = 0.93, 0.97
FIGURES = ("reliability", "shares", "agreement", "course", "alarms", "random", "labels", "hard")
Row = dict[str, Any]


def verdicts(
    rng: np.random.Generator, n: int, each: int, chances: np.ndarray, spread: float = 0.0
) -> tuple[Verdicts, np.ndarray]:
    """n questions that `each` labelers answer, drawn for each; side 1 is right by a coin. Questions differ by `spread`
    nats (standard deviation) in how hard they are to every labeler. Returns the verdicts, and what is right."""
    truth = rng.integers(0, 2, n)
    who = np.argsort(rng.random((n, len(chances))), axis=1)[:, :each]
    units, labelers = np.repeat(np.arange(n), each), who.ravel()
    hard = spread * np.repeat(rng.standard_normal(n), each)
    right = rng.random(len(units)) < expit(logit(chances[labelers]) + hard)
    sides = np.where(right, truth[units], 1 - truth[units])
    return Verdicts(units, labelers, sides, np.ones(n, dtype=np.bool_), len(chances)), truth


def reliability(n: int, each: int, labelers: int, repeats: int, spread: float = 0.0) -> Row:
    """Coverage of the intervals of chances from 0.55 to 0.95."""
    held, widths, bias = [], [], []
    chances = np.linspace(0.55, 0.95, labelers)
    mean = chances
    if spread:  # the chance over all questions there might be
        nodes, weights = np.polynomial.hermite_e.hermegauss(61)
        mean = (expit(logit(chances)[:, None] + spread * nodes) * weights).sum(1) / weights.sum()
    for seed in range(repeats):
        fit = one_coin(verdicts(np.random.default_rng(seed), n, each, chances, spread)[0])
        for at, chance in enumerate(mean):
            interval = fit.interval(at)
            assert interval, "a labeler without shared answers"
            held.append(chance in interval)
            widths.append(interval.high - interval.low)
            bias.append(fit.accuracy[at] - chance)
    return {"covered": _mean(held), "width": _mean(widths), "bias": _mean(bias), "of": len(held)}


def shares(n: int, chance: float) -> Row:
    """Coverage of exact intervals of shares (choices of the first one shown, gold answered rightly), by addition."""
    held = [chance in exact(k, n) for k in range(n + 1)]
    return {"covered": round(float(binom.pmf(np.arange(n + 1), n, chance) @ held), 4)}


def agreement(n: int, labelers: float, leads: float, repeats: int) -> tuple[Row, Row]:
    """Of two labelers with one lead, all answering; the truth is a coin, so chance is a half."""
    found: dict[str, list[bool]] = {"raw": [], "kappa": []}
    raw = labelers * leads + (1 - labelers) * (1 - leads)
    for seed in range(
        repeats
    ):  # resamples are drawn with other seeds, as the same one would draw what goes with the data
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, (n, 1))
        right = rng.random((n, 3)) < np.array([labelers, labelers, leads])
        codes = np.where(right, truth, 1 - truth)
        for name, measure, value in (("raw", raw_between, raw), ("kappa", between, 2 * raw - 1)):
            interval = with_interval(partial(measure, first=2), codes, resamples=200, seed=repeats + seed).interval
            assert interval, "not defined"
            found[name].append(value in interval)
    return {"covered": _mean(found["raw"])}, {"covered": _mean(found["kappa"])}


Chance = Callable[[int, float], float]  # of a labeler, at a time from 0 to 1


def judgments(
    rng: np.random.Generator, n: int, each: int, labelers: int, chance: Chance, first: Sequence[float] = ()
) -> list[Said]:
    """What labelers say in the order of time; `first` is how often each takes the first one shown without looking."""
    said = []
    for number in range(n):
        texts = (f"good {number} {rng.integers(1 << 30)}", f"bad {number} {rng.integers(1 << 30)}")
        group = Group((Message("user", str(number)),), tuple(Completion((Message("assistant", one),)) for one in texts))
        for at in rng.permutation(labelers)[:each].tolist():
            order = (0, 1) if rng.random() < 0.5 else (1, 0)
            choice = 0 if rng.random() < chance(at, number / n) else 1
            if first and rng.random() < first[at]:
                choice = order[0]
            said.append(Said(group, Preference(choice, labeler=f"{at:02d}", order=order), said_at=f"{number:06d}"))
    return said


def course(n: int, each: int, labelers: int, drop: float, repeats: int) -> Row:
    """Labeler 0 is worse by `drop` in the second half; coverage of all labelers' shares early and late."""
    held, found, false, when = [], [], [], []

    def chance(at: int, time: float) -> float:
        return 0.65 + 0.3 * at / (labelers - 1) if at else 0.9 - drop * (time >= 0.5)

    for seed in range(repeats):
        said = judgments(np.random.default_rng(seed), n, each, labelers, chance)
        questions = questions_of(said)
        courses = courses_of(questions, said, coins_of(questions), {}, seed=seed)
        for name, one in courses.items():
            at = int(name)
            held += [chance(at, 0) in one.early.interval, chance(at, 0.9) in one.late.interval]
        told = dict(zip(courses, holm([one.p for one in courses.values()]), strict=True))
        found.append(told["00"])
        false.append(any(told[name] for name in told if name != "00"))
        if told["00"]:
            when.append(abs(int(courses["00"].since) / n - 0.5))
    row = {"covered": _mean(held), "of": len(held), "told": _mean(found), "others told": _mean(false)}
    return row | ({"off by": _mean(when)} if when else {})


def alarms(n: int, each: int, labelers: int, leaning: float, repeats: int) -> Row:
    """How often anybody but labeler 0 is said to lean to the first one or to click one side; and labeler 0, who takes
    the first one in `leaning` of all without looking."""
    false = {"first": [], "run": []}
    found = {"first": [], "run": []}
    for seed in range(repeats):
        first = [leaning, *[0.0] * (labelers - 1)]
        said = judgments(np.random.default_rng(seed), n, each, labelers, lambda at, time: 0.8, first)
        names = sorted({one.judgment.labeler for one in said})
        habits = [habits_of([one for one in said if one.judgment.labeler == name]) for name in names]
        for name in false:
            tests = [getattr(one, name) for one in habits]
            told = holm([one.p for one in tests if one])
            found[name].append(told[0])
            false[name].append(any(told[1:]))
    return {f"{name} told": _mean(found[name]) for name in found} | {
        f"{name} of others": _mean(false[name]) for name in false
    }


def random_voters(n: int, each: int, labelers: int, repeats: int) -> Row:
    """A tenth of the labelers answers at random; the others are right with chances from 0.65 to 0.95."""
    told: dict[tuple[bool, str], int] = {}
    bad = max(1, labelers // 10)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        chances = np.append(np.full(bad, 0.5), rng.uniform(0.65, 0.95, labelers - bad))
        fit = one_coin(verdicts(rng, n, each, chances)[0])
        for at, one in who_is_random(fit, fit.verdicts.units).items():
            verdict = "random" if one.verdict == "contrary" and at < bad else one.verdict
            told[at < bad, verdict] = told.get((at < bad, verdict), 0) + 1
    sums = [sum(count for (one, _), count in told.items() if one == who) for who in (True, False)]
    return {
        "answers each": round(n * each / labelers), "found": told.get((True, "random"), 0) / max(sums[0], 1),
        "random but called sound": told.get((True, "sound"), 0) / max(sums[0], 1),
        "false alarms": told.get((False, "random"), 0) / max(sums[1], 1),
        "called contrary": told.get((False, "contrary"), 0) / max(sums[1], 1),
        "told of others": told.get((False, "sound"), 0) / max(sums[1], 1),
    }  # fmt: skip


def labels(n: int, each: int, chances: Sequence[float], repeats: int) -> Row:
    """Wrong labels and log loss, by majority (with its own share of right labels for a chance) and by posterior."""
    wrong: dict[str, list[float]] = {"majority": [], "posterior": []}
    loss: dict[str, list[float]] = {"majority": [], "posterior": []}
    for seed in range(repeats):
        said, truth = verdicts(np.random.default_rng(seed), n, each, np.array(chances))
        votes = np.bincount(said.units, said.signs, n) * (2 * truth - 1)  # above 0: for what is right
        odds = one_coin(said, prior=PRIOR).log_odds * (2 * truth - 1)
        split = votes != 0
        right = float((votes[split] > 0).mean())
        wrong["majority"].append(float((votes < 0).mean() + (votes == 0).mean() / 2))
        wrong["posterior"].append(float((odds < 0).mean() + (odds == 0).mean() / 2))
        by_vote = np.where(votes > 0, right, np.where(votes < 0, 1 - right, 0.5))
        loss["majority"].append(float(-np.log(by_vote).mean()))
        loss["posterior"].append(float(-np.log(expit(odds)).mean()))
    return {f"{name} {what}": _mean(of[name]) for name in wrong for what, of in (("wrong", wrong), ("log loss", loss))}


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


def rows(scale: float, figures: Sequence[str]) -> Iterator[Row]:
    """The rows of `figures`; `scale` of the repeats."""

    def times(repeats: int) -> int:
        return max(int(repeats * scale), 2)

    for n, each, labelers in (
        ((300, 3, 6), (1000, 3, 10), (1000, 2, 5), (100, 4, 5)) if "reliability" in figures else ()
    ):
        got = reliability(n, each, labelers, times(800 // labelers))
        yield _row("reliability", got, n=n, each=each, labelers=labelers)
    for n in (20, 100, 400) if "shares" in figures else ():
        for chance in (0.5, 0.8, 0.95):
            yield _row("shares", shares(n, chance), exact=True, n=n, chance=chance)
    for n in (50, 200) if "agreement" in figures else ():
        for name, got in zip(("raw", "kappa"), agreement(n, 0.75, 0.9, times(400)), strict=True):
            yield _row("agreement", got, measure=name, n=n)
    for n, each, labelers, drop in (
        ((600, 3, 6, 0.0), (600, 3, 6, 0.3), (1000, 3, 6, 0.3)) if "course" in figures else ()
    ):
        got = course(n, each, labelers, drop, times(60))
        yield _row(
            "course", got, alarm=got["others told"], repeats=times(60), n=n, each=each, labelers=labelers, drop=drop
        )
    for leaning in (0.0, 0.3) if "alarms" in figures else ():
        got = alarms(400, 3, 6, leaning, times(150))
        worst = max(got["first of others"], got["run of others"])
        yield _row("alarms", got, alarm=worst, repeats=times(150), n=400, each=3, labelers=6, leaning=leaning)
    for n, each in ((500, 3), (1000, 3), (1500, 3), (2000, 3), (600, 5), (2000, 2)) if "random" in figures else ():
        got = random_voters(n, each, 20, times(150))
        yield _row("random", got, alarm=got["false alarms"], repeats=times(150), n=n, each=each, labelers=20)
    crowds = ((3, (0.95, 0.9, 0.6, 0.55, 0.6)), (3, (0.8,) * 6), (5, (0.95, 0.9, 0.7, 0.6, 0.55, 0.5, 0.5)))
    for each, chances in crowds if "labels" in figures else ():
        yield _row("labels", labels(1000, each, chances, times(60)), each=each, chances=str(chances))
    for n, each, labelers, spread in ((1000, 3, 10, 0.5), (1000, 3, 10, 1.0)) if "hard" in figures else ():
        got = reliability(n, each, labelers, times(20), spread)
        yield {"figure": "hard", "n": n, "each": each, "labelers": labelers, "spread": spread} | got


def _row(
    figure: str, got: Row, *, exact: bool = False, alarm: float | None = None, repeats: int = 1, **settings: Any
) -> Row:
    """With whether it `holds` what it says."""
    row: Row = {"figure": figure} | settings | got
    checks = []
    if "covered" in got:
        checks.append(got["covered"] >= 0.95 if exact else LOW <= got["covered"] <= HIGH)
    if alarm is not None:
        checks.append(alarm <= 0.05 + 2 * (0.05 * 0.95 / repeats) ** 0.5)
    return row | ({"holds": all(checks)} if checks else {})


def main() -> None:
    from support.machine import RESULTS, facts, table, write_result

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--only", nargs="+", choices=FIGURES, help="these figures; the others stay as they were")
    given = parser.parse_args()
    environment, found = facts(), []
    if given.only and not given.smoke:
        kept = json.loads((RESULTS / "labelers.json").read_text(encoding="utf-8"))["rows"]
        found = [row for row in kept if row["figure"] not in given.only]
    for row in rows(0.02 if given.smoke else 1.0, given.only or FIGURES):
        found.append(row)
        print(row, flush=True)
    found.sort(key=lambda row: FIGURES.index(row["figure"]))
    for figure in FIGURES:
        print(table([row for row in found if row["figure"] == figure]))
    checked = [row for row in found if "holds" in row]
    write_result("labelers", environment, {"smoke": given.smoke}, {
        "rows": found, "held": sum(row["holds"] for row in checked), "of": len(checked),
    })  # fmt: skip


if __name__ == "__main__":
    main()
