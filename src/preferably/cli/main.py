"""`preferably`: the verbs. Each imports what it needs when it is called, so that --help is quick."""

import sys
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand, TyperOption

from preferably import __version__
from preferably.cli import (
    advising,
    aligning,
    auditing,
    auditing_run,
    boards,
    data,
    evaluating,
    exporting,
    judging,
    labeling,
    prioritizing,
    quickstarting,
    rewarding,
    sampling,
    suites,
    sweeping,
    training,
)
from preferably.errors import ConfigError, PreferablyError, ToldElsewhereError

app = typer.Typer(
    help="Align language models with what people prefer, and show that it worked.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
)  # fmt: skip

app.command("quickstart")(quickstarting.quickstart)
app.command("init")(aligning.init)
app.command("align")(aligning.align)
app.command("advise")(advising.advise)
app.command(
    "train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, epilog=training.EPILOG
)(training.train)
app.command(
    "sweep", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, epilog=training.EPILOG
)(sweeping.sweep)
app.command("evaluate")(evaluating.evaluate)
app.command("board")(boards.board)
app.command("sample")(sampling.sample)
app.command("ready")(evaluating.ready)
app.command("chat")(evaluating.chat)
app.command("report")(evaluating.report)
app.command("export")(exporting.export)
app.command("methods")(training.methods)
app.add_typer(data.app, name="data")
labeling.app.command("prioritize")(prioritizing.prioritize)
app.add_typer(labeling.app, name="label")
app.add_typer(judging.app, name="judge")
app.add_typer(rewarding.app, name="reward")
app.add_typer(suites.app, name="suite")
app.add_typer(auditing_run.app, name="audit")


class OnceCommand(TyperCommand):
    """A command that refuses an option given twice, of which click would quietly take the last."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse, or go on as ever; `ctx` is click's, of which typer has a copy of its own."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        for option, times in Counter(order).items():
            if times > 1 and isinstance(option, TyperOption) and not (option.multiple or option.is_flag):
                raise ConfigError(f"{option.opts[0]} was given {times} times; give it once.")
        return super().parse_args(ctx, args)


for _verbs in (app, auditing.app, data.app, judging.app, labeling.app, rewarding.app, suites.app):
    for _verb in _verbs.registered_commands:
        _verb.cls = OnceCommand


@app.callback()
def _top(
    version: Annotated[bool, typer.Option("--version", help="show the version and leave", is_eager=True)] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """The entry point: a problem that the user can mend is one line and an exit code; a traceback is a bug of ours."""
    try:
        app()
    except ToldElsewhereError as error:
        sys.exit(error.exit_code)
    except PreferablyError as error:
        Console(stderr=True, highlight=False).print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
