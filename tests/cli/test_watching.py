"""What the terminal shows while a server is away."""

import io

from rich.console import Console

from preferably.cli.watching import Watch


def shown(watch, *texts):
    for text in texts:
        watch.away(text)
    return watch.console.file.getvalue()


def test_a_file_is_told_once_that_a_server_is_away_and_once_that_it_is_back():
    watch = Watch(Console(file=io.StringIO(), width=200))
    watch.stage("asking")
    out = shown(watch, "host [x] broke off; asked again in 4 s", "host broke off; asked again in 8 s", "", "")
    assert out.splitlines() == ["asking", "waiting: host [x] broke off; asked again in 4 s", "it answers"]


def test_a_terminal_has_it_in_the_line_of_what_is_under_way():
    watch = Watch(Console(file=io.StringIO(), width=200, force_terminal=True))
    watch.bars.disable = False
    watch.stage("first")
    task = watch.stage("asking")
    shown(watch, "host broke off; asked again in 4 s")
    lines = [one.fields["figures"] for one in watch.bars.tasks]
    assert lines == ["", "[yellow]host broke off; asked again in 4 s[/yellow]"] and task == watch.task
    shown(watch, "")
    assert [one.fields["figures"] for one in watch.bars.tasks] == ["", ""]
