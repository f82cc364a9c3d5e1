"""`preferably quickstart`: the whole job, small, on this machine."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from preferably.cli.audited import STYLES
from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.cli.watching import Watch
    from preferably.feedback.store.store import Store
    from preferably.quickstart.your_labels import YourLabels

AXES = {
    "correctness": "right answer (graded)", "directness": "answers first", "voice": "brand voice",
    "brevity": "no filler", "honesty": "honest", "harmlessness": "keeps data private",
    "malformed_words": "malformed words", "words": "words",
}  # fmt: skip
SAYS = {"better": "beats", "not separable": "is not told apart from", "worse": "loses to"}


def quickstart(
    seed: Annotated[int, typer.Option(help="of everything: the world's texts, the model, the labels")] = 0,
    output: Annotated[Path, typer.Option(help="where the run directories go")] = Path("quickstart"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    label: Annotated[
        bool, typer.Option("--label", help="answer ten questions in the browser, and see what they did")
    ] = (False),
    full: Annotated[
        bool, typer.Option("--full", help="with simulated people, judges held against them, and audits: longer")
    ] = (False),
) -> None:
    """Align a tiny model in an embedded world with a known truth, and see by how much it got better."""
    from preferably.cli.watching import Watch, watching
    from preferably.quickstart.full import Extent
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

            def counting(self, name: str, total: int | None) -> Callable[[int], None]:
                """A stage over prompts."""
                task = watch.stage(name, total)
                return lambda done: watch.bars.advance(task, done)

        assert isinstance(watch, Watch)
        yours, extent = _yours(watch) if label else None, Extent() if full else None
        results = run(output, seed=seed, watcher=Watcher(), device=device, yours=yours, full=extent)
    _print(console, results)
    if full:
        _print_full(console, results["full"])
    if told := results.get("your_labels"):
        _print_yours(console, told, output)
    _print_places(console, results["seconds"], output)


def _yours(watch: "Watch") -> "YourLabels":
    """Questions for the browser: a server of this machine for as long as they last."""
    try:
        from preferably.labeling.desk import Desk
        from preferably.labeling.people import People
        from preferably.labeling.server import Address, serving
    except ImportError as error:
        raise ConfigError(f"--label needs {error.name}: pip install 'preferably[label]'.") from error
    from preferably.quickstart.your_labels import PROJECT, YOU, YourLabels, answered

    def ask(store: "Store", count: int) -> None:
        people = People(store)
        person, _ = people.accept(people.invite("labeler", YOU), YOU)
        people.note(person.id, read=PROJECT.version)
        with serving(Desk(store, PROJECT), Address(port=0)) as url:
            link = f"{url}/join#{people.invite('labeler', YOU, person=person.id)}"
            watch.console.print(f"{count} questions wait for you: [bold]{link}[/bold]", soft_wrap=True)
            while answered(store) < count:
                time.sleep(0.5)

    return YourLabels(ask)


def _print_full(console: Console, told: dict[str, Any]) -> None:
    """What people, judges and audits came to; the page has what it rests on."""
    people = told["people"]
    console.print(
        f"\n{len(people['simulated'])} simulated people answered {people['pairs']} questions, {people['overlap']} "
        f"to each; two agree on {people['agreement']['value']:.0%}. How often they pick the better reply:\n",
        soft_wrap=True,
    )
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column, justify in (("labeler", "left"), ("right, as told", "right"), ("in truth", "right"), ("fault", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name, one in people["simulated"].items():
        value = "-" if one["told"] is None else f"{one['told']['value']:.0%}"
        table.add_row(name, value, f"{one['right']:.0%}", Text(one["fault"]))
    console.print(table)
    console.print("\nJudges, held against them:")
    table = _rows()
    for one in told["judges"]:
        table.add_row(Text(one["outcome"], style=STYLES[one["outcome"]]), Text(one["judge"]), Text(one["verdict"]))
    console.print(table)
    console.print("\nAudits:")
    table = _rows()
    for road, audits in told["audits"].items():
        for name, one in audits.items():
            table.add_row(Text(one["outcome"], style=STYLES[one["outcome"]]), f"{road}: {name}", Text(one["verdict"]))
    console.print(table)


def _rows() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=28)
    table.add_column(overflow="fold")
    return table


def _print_yours(console: Console, told: dict[str, Any], output: Path) -> None:
    agreed = told["agreed"]
    console.print(
        f"Of your {told['answered']} choices the reward model agrees with {agreed['reward']}, DPO with "
        f"{agreed['dpo']}.",
        soft_wrap=True,
    )
    if (traced := told["traced"]) is not None:
        before = traced["reward"]["before"]
        began = "" if before is None else f" (it began at {before:+.2f})"
        console.print(
            f"One of them, through both roads: the reward model scores your choice {traced['reward']['after']:+.2f} "
            f"over the other{began}, DPO's margin is {traced['dpo']['after']:+.2f} (it began at 0). "
            f"{escape(str(output / 'dpo' / 'report.html'))} shows it.",
            soft_wrap=True,
        )


def _entropy(found: dict[str, Any]) -> str:
    """That of what training drew first and last, where it drew."""
    return ", entropy {:.1f} to {:.1f}".format(*found["entropy"]) if "entropy" in found else ""


def _print(console: Console, results: dict[str, Any]) -> None:
    from preferably.reporting.verdict import word_for

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
        says = SAYS[word_for(results[model]["interval"])]
        console.print(
            f"[bold]{model.upper()} {says} its SFT start with win rate {_rate(results[model])}[/bold], KL "
            f"{results[model]['kl']['mean']:.2f} nats{_entropy(results[model])} (beside it: {', '.join(beside)})",
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


def _print_places(console: Console, seconds: float, output: Path) -> None:
    """Where all of it is to be read."""
    pages = ", ".join(str(output / page) for page in ("dpo/report.html", "ppo/report.html", "comparison.html"))
    page = escape(str(output / "report.html"))
    console.print(f"\n{seconds:.0f} s    the whole job on a page: [bold]{page}[/bold]", soft_wrap=True)
    console.print(Text(f"each road: {pages}"), soft_wrap=True)
    console.print(Text(f"try it: preferably chat {output / 'dpo'} --against {output / 'sft'}"), soft_wrap=True)


def _rate(record: dict[str, Any]) -> str:
    low, high = record["interval"]
    return f"{record['win_rate']:.3f} \\[{low:.3f}, {high:.3f}]"
