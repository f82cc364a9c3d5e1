"""`preferably quickstart`: the whole job, small, on this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

AXES = {
    "correctness": "right answer (graded)", "directness": "answers first", "voice": "brand voice",
    "brevity": "no filler", "honesty": "honest", "harmlessness": "keeps data private",
    "malformed_words": "malformed words", "words": "words",
}  # fmt: skip


def quickstart(
    seed: Annotated[int, typer.Option(help="of everything: the world's texts, the model, the labels")] = 0,
    output: Annotated[Path, typer.Option(help="where the run directories go")] = Path("quickstart"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
) -> None:
    """Align a tiny model in an embedded world with a known truth, and see by how much it got better."""
    from preferably.cli.watching import Watch, watching
    from preferably.quickstart.replies import EXAMPLE_A, EXAMPLE_B, EXAMPLE_PROMPT
    from preferably.quickstart.run import quickstart as run
    from preferably.training.closing import Progress

    console = Console(highlight=False)
    console.print("A customer-service desk trains its assistant. Which reply is better?\n")
    example = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for who, text in (("user", EXAMPLE_PROMPT), ("A", EXAMPLE_A), ("B", EXAMPLE_B)):
        example.add_row(f"[bold]{who}[/bold]", text)
    console.print(example)
    console.print(
        "\nSimulated labelers with known faults compare replies like these, mostly in favor of A, which answers first. "
        "Their choices train the model; a truth that training never sees decides whether it got better.\n"
    )
    with watching() as watch:

        class Watcher:
            """The stages as lines of progress."""

            def training(self, name: str) -> Progress:
                """A training stage."""
                return watch.training(name)

            def counting(self, name: str, total: int) -> Callable[[int], None]:
                """A stage over prompts."""
                task = watch.stage(name, total)
                return lambda done: watch.bars.advance(task, done)

        assert isinstance(watch, Watch)
        results = run(output, seed=seed, watcher=Watcher(), device=device)
    _print(console, results, output)


def _print(console: Console, results: dict[str, Any], output: Path) -> None:
    models = ("sft", "dpo", "ppo")
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in ("held-out replies, by the truth", *models):
        table.add_column(column, justify="right" if len(column) == 3 else "left")
    for axis, name in AXES.items():
        style = "{:.1f}" if axis in ("malformed_words", "words") else "{:.0%}"
        table.add_row(name, *(style.format(results["axes"][axis][model]) for model in models))
    console.print()
    for stage, verdict in results["readiness"].items():
        console.print(f"Can the {stage} model do the task? {verdict[:1].upper()}{verdict[1:]}.", soft_wrap=True)
    console.print()
    console.print(table)
    headline = results["dpo"]
    console.print(
        f"\nBy the truth, {headline['n']} prompts x {headline['decoding']['samples']} samples at T = "
        f"{headline['decoding']['temperature']:g}:"
    )
    for model in ("dpo", "ppo"):
        beside = [
            f"{'greedy' if float(t) == 0 else f'T = {t}'} {row['win_rate']:.3f}"
            for t, row in results["decodings"][model].items()
            if float(t) != headline["decoding"]["temperature"]
        ]
        console.print(
            f"[bold]{model.upper()} beats its SFT start with win rate {_rate(results[model])}[/bold], KL "
            f"{results[model]['kl']['mean']:.2f} nats (beside it: {', '.join(beside)})",
            soft_wrap=True,
        )
    console.print(f"PPO against DPO: {_rate(results['ppo_over_dpo'])}", soft_wrap=True)
    labels, worth = results["labels"], results["reward_model"]
    console.print(
        f"Labels agreed with the truth on {labels['label_accuracy']:.0%} of {labels['labeled']} pairs. The reward "
        f"model agrees with a labeler on {worth['accuracy']:.1%} of {worth['pairs']} new pairs; "
        f"{worth['ceiling']:.1%} is the most that can be had, picking the shorter gets {worth['shorter']:.1%}.",
        soft_wrap=True,
    )
    pages = f"{output / 'comparison.html'}, {output / 'dpo' / 'report.html'}, {output / 'ppo' / 'report.html'}"
    console.print(f"{results['seconds']:.0f} s    reports: {pages}", soft_wrap=True)
    console.print(f"try it: preferably chat {output / 'dpo'} --against {output / 'sft'}", soft_wrap=True)


def _rate(record: dict[str, Any]) -> str:
    low, high = record["interval"]
    return f"{record['win_rate']:.3f} \\[{low:.3f}, {high:.3f}]"
