"""The charts of a run: which curves stand together, and how each is read."""

import math
from collections.abc import Sequence

from preferably.reporting.account import method_of, row_of
from preferably.reporting.charts import Chart, Spec, by_kl, histogram, kl_against_win_rate, lines
from preferably.reporting.curves import Curve, bad_steps, curve, listed
from preferably.reporting.figures import plural
from preferably.reporting.run_files import Record, RunFiles, finite, interval_of, part, text
from preferably.reporting.verdict import decoding_of

BINS = 28
THIN_AND_STRONG = "Thin: training steps. Strong with points: held-out rows."


def curve_charts(run: RunFiles) -> list[Chart]:
    """The charts that the metrics have points for, in the order in which a run is read."""
    made = [_loss(run.metrics), *_preference_charts(run), *_sample_charts(run.metrics), _gradient(run.metrics)]
    return [chart for chart in made if chart is not None]


def not_drawn(run: RunFiles, charts: Sequence[Chart]) -> list[str]:
    """What a reader would look for and the metrics do not hold; pair metrics are not expected of demonstrations."""
    method = row_of(run)
    pairs = method is None or method.feedback == "pairs"
    expected = {"loss": "loss"}
    if method is None or not method.scores:  # a reward model draws nothing
        expected |= {"kl": "KL (objective/kl)", "sample-length": "sample length (samples/length)"}
    if pairs:
        expected |= {"rewards": "rewards", "accuracy": "accuracy", "logps": "log-probabilities"}
    have = {chart.slug for chart in charts}
    return [label for slug, label in expected.items() if slug not in have]


def _chart(
    slug: str, title: str, help: str, curves: list[Curve], spec: Spec, notes: Sequence[str] = ()
) -> Chart | None:
    return Chart(slug, title, help, spec, tuple(notes)) if any(line.points for line in curves) else None


def _both(metrics: Sequence[Record], keys: dict[str, str]) -> list[Curve]:
    """Training and held-out curves of the same name: {"rewards/chosen": "chosen"}."""
    return [
        curve(metrics, before + key, name, held_out=bool(before))
        for before in ("", "eval_")
        for key, name in keys.items()
    ]


def _loss(metrics: Sequence[Record]) -> Chart | None:
    curves = [curve(metrics, "loss", "training"), curve(metrics, "eval_loss", "held-out", held_out=True)]
    bad = bad_steps(metrics)
    notes = []
    if bad.not_finite:
        notes.append(
            f"{plural(len(bad.not_finite), 'step')} had no finite loss (ticks at the foot): {listed(bad.not_finite)}."
        )
    if bad.skipped:
        reasons = "; ".join(bad.reasons)
        notes.append(f"{plural(len(bad.skipped), 'step')} skipped ({reasons}): {listed(bad.skipped)}.")
    help = (
        "Held-out loss rising while training loss falls: the run memorises. "
        "A falling loss says nothing about the quality of answers."
    )
    marks = bad.all[:: max(1, len(bad.all) // 200)]
    return _chart("loss", "Loss", help, curves, lines(curves, y="loss", marks=marks), notes)


def _preference_charts(run: RunFiles) -> list[Chart | None]:
    metrics, method = run.metrics, row_of(run)
    rewards = {"rewards/chosen": "chosen", "rewards/rejected": "rejected", "rewards/margins": "margin"}
    reward_curves = _both(metrics, rewards)
    accuracy = [
        curve(metrics, "rewards/accuracies", "training"),
        curve(metrics, "eval_rewards/accuracies", "held-out", held_out=True),
    ]
    logps = _both(metrics, {"logps/chosen": "chosen", "logps/rejected": "rejected"})
    # A reward model's scores are what it says; of a policy they follow from log-probabilities.
    title, axis = "Implicit rewards and their margin", "mean implicit reward"
    if method is not None and method.scores:
        title, axis = "Scores and their margin", "mean score"
    return [
        _chart(
            "rewards", title,
            f"{THIN_AND_STRONG} The margin is chosen minus rejected; it should grow on held-out rows too.",
            reward_curves, lines(reward_curves, y=axis, zero=True, level=0.0),
        ),
        _chart(
            "accuracy", "Preference accuracy",
            "Share of pairs in which the chosen answer has the higher reward. Dashed: 50%, a coin.",
            accuracy, lines(accuracy, y="share of pairs", level=0.5, shares=True),
        ),
        _chart(
            "logps", "Log-probability of the answers",
            f"{THIN_AND_STRONG} Both falling together: probability leaves the chosen answers too.",
            logps, lines(logps, y="log-probability (nats)"),
        ),
    ]  # fmt: skip


def _sample_charts(metrics: Sequence[Record]) -> list[Chart | None]:
    kl = [curve(metrics, "objective/kl", "KL", held_out=True)]
    band = []
    for record in metrics:
        step, mean, error = (finite(record, key) for key in ("step", "objective/kl", "objective/kl_se"))
        if step is not None and mean is not None and error is not None:
            band.append((step, mean - 1.96 * error, mean + 1.96 * error))
    length = [curve(metrics, "samples/length", "length", held_out=True)]
    shares = {"samples/repetition": "repeated", "samples/unfinished": "never ended", "samples/empty": "empty"}
    defects = [curve(metrics, key, name, held_out=True) for key, name in shares.items()]
    entropy = [curve(metrics, "objective/entropy", "entropy")]
    return [
        _chart(
            "kl", "Distance from the reference",
            "KL(policy ‖ reference) on the policy's own samples at T = 1; band: 95% interval. A sudden climb is drift.",
            kl, lines(kl, y="KL (nats per sequence)", zero=True, band=band[:: max(1, math.ceil(len(band) / 400))]),
        ),
        _chart(
            "sample-length", "Length of the policy's samples",
            "Growth without a better answer is the best known way to please a judge.",
            length, lines(length, y="mean length (tokens)", zero=True),
        ),
        _chart(
            "defects", "Defects of the policy's samples",
            "Repeated: share of 4-grams that came before. Never ended, empty: shares of samples. A climb is collapse.",
            defects, lines(defects, y="share", zero=True, percent=True),
        ),
        _chart(
            "entropy", "Entropy of what was drawn",
            "How many ways of answering are left, in training's own samples. A fall to 0 is collapse to one.",
            entropy, lines(entropy, y="entropy (nats per sequence)", zero=True),
        ),
    ]  # fmt: skip


def _gradient(metrics: Sequence[Record]) -> Chart | None:
    curves = [curve(metrics, "grad_norm", "gradient norm")]
    help = "Before clipping. Spikes point at single batches; a climb at a learning rate that is too high."
    return _chart("gradient", "Gradient norm", help, curves, lines(curves, y="gradient norm", zero=True))


def kl_chart(run: RunFiles) -> Chart | None:
    """Win rate by KL over all decodings that store both."""
    records = (run.win_rate, *run.other_win_rates.values())
    points = [point for record in records if (point := kl_point(record, _short_decoding(record))) is not None]
    place_labels(points)
    help = (
        "What was gained for the distance moved. The grey point is the starting model: no distance, 50%. "
        "Lines are 95% intervals. Far right and low means over-optimised."
    )
    return Chart("kl-win-rate", "KL against win rate", help, kl_against_win_rate(points)) if points else None


def reward_chart(run: RunFiles) -> Chart | None:
    """The reward of own samples by their KL along the run, what a guard says of them, and what else was measured."""
    names = {"eval_objective/scores": method_of(run).upper() or "policy", "eval_guard/scores": "guard"}
    points: list[Spec] = []
    for key, series in names.items():
        for record in run.metrics:
            kl, value, step = (finite(record, name) for name in ("objective/kl", key, "step"))
            if kl is not None and value is not None and step is not None:
                points.append({"series": series, "kl": kl, "value": value, "label": f"step {step:.0f}"})
    if not points:
        return None
    points += beside(run, "reward")
    help = (
        "The reward that the policy is trained for, on its own samples of held-out prompts, as it moves away from the "
        "reference. What climbs here without the next chart, or without the guard, is what is wrong with the reward."
    )
    return Chart("reward-kl", "Reward against KL", help, by_kl(points, y="mean reward"))


def truth_chart(run: RunFiles) -> Chart | None:
    """The same by what the reward stands for, where somebody can tell."""
    points = beside(run, "truth")
    help = "The same by the judge that training never sees, at the end of each way, on held-out prompts; 95% intervals."
    return Chart("truth-kl", "Truth against KL", help, by_kl(points, y="mean score by the judge")) if points else None


def beside(run: RunFiles, field: str) -> list[Spec]:
    """Points of `evaluation/reward_kl.json` that have `field`: [value, low, high]; those of the run itself first."""
    points, own = [], method_of(run).upper()
    for record in run.reward_kl.get("points", []):
        kl, values = finite(record, "kl"), record.get(field) or []
        found = [finite({"value": value}, "value") for value in values]
        if kl is not None and len(found) == 3 and None not in found:
            named = {"series": text(record, "series"), "label": text(record, "label"), "kl": kl}
            points.append(named | dict(zip(("value", "low", "high"), found, strict=True)))
    return sorted(points, key=lambda point: point["series"] != own)


def kl_point(record: Record, label: str) -> Spec | None:
    """A win rate that stores its KL as a point of `kl_against_win_rate`."""
    mean, win_rate, interval = finite(part(record, "kl"), "mean"), finite(record, "win_rate"), interval_of(record)
    if mean is None or win_rate is None:
        return None
    error = 1.96 * (finite(part(record, "kl"), "se") or 0.0)
    low, high = interval or (win_rate, win_rate)
    return {
        "kl": mean, "kl_low": mean - error, "kl_high": mean + error, "win_rate": win_rate, "low": low, "high": high,
        "label": label,
    }  # fmt: skip


def place_labels(points: list[Spec]) -> None:
    """Labels beside their points, apart from each other, and towards the middle of the chart."""
    furthest = max((float(point["kl_high"]) for point in points), default=0.0)
    height = 0.0
    for point in sorted(points, key=lambda point: float(point["win_rate"])):
        height = max(float(point["win_rate"]), height)
        point["label_at"] = min(height, 0.98)
        point["side"] = "right" if float(point["kl"]) > furthest / 2 else "left"
        height += 0.085


def _short_decoding(record: Record) -> str:
    temperature = finite(part(record, "decoding"), "temperature")
    return decoding_of(record)[:24] if temperature is None else f"T = {temperature:g}"


def length_chart(run: RunFiles) -> Chart | None:
    """Histograms of the answers in samples.jsonl: words, or characters where texts have no spaces."""
    after = [text(record, "model") for record in run.samples if record.get("model") is not None]
    before = [text(record, "against") for record in run.samples if record.get("against") is not None]
    if not after or not before:
        return None
    characters, words = sum(map(len, after + before)), sum(len(answer.split()) for answer in after + before)
    unit = "characters" if characters > 15 * max(1, words) else "words"
    sizes = {
        name: sorted(len(answer) if unit == "characters" else len(answer.split()) for answer in answers)
        for name, answers in (("after training", after), ("before", before))
    }
    bars, cut = _bars(sizes)
    middle = {name: of_side[len(of_side) // 2] for name, of_side in sizes.items()}
    help = (
        f"Answers in samples.jsonl, {len(before):,} before and {len(after):,} after. "
        f"Median {middle['before']:,} before, {middle['after training']:,} after ({unit})."
    )
    notes = (f"The last bin holds every answer of {cut:,} {unit} or more.",) if cut else ()
    return Chart(
        "lengths", "Length of the answers", help, histogram(bars, unit=unit, sides=("after training", "before")), notes
    )


def _bars(sizes: dict[str, list[int]]) -> tuple[list[Spec], int]:
    """Counts in equal bins; the few longest answers share the last one, whose lower edge is returned (0: none cut)."""
    every = sorted(size for of_side in sizes.values() for size in of_side)
    longest, usual = every[-1], every[int(0.98 * (len(every) - 1))]
    top = longest if longest <= 1.5 * usual + 1 else usual
    width = max(1, math.ceil((top + 1) / BINS))
    bins = top // width + 1
    bars: list[Spec] = []
    for name, of_side in sizes.items():
        counts = [0] * bins
        for size in of_side:
            counts[min(size // width, bins - 1)] += 1
        bars += [
            {"low": index * width, "high": (index + 1) * width, "count": count, "side": name}
            for index, count in enumerate(counts)
        ]
        bars.append({"low": bins * width, "high": bins * width, "count": 0, "side": name})  # closes the outline
    return bars, (bins - 1) * width if top < longest else 0
