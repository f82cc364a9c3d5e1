"""The command as a user types it, on a tiny model."""

import html
import json
import shlex
import shutil
import subprocess
import sys

import pytest

from preferably.methods import METHODS

PAIRS = [
    {"prompt": f"{letter} {number}? ", "chosen": "yes", "rejected": "no no"}
    for letter in "abcdef"
    for number in range(8)
]


@pytest.fixture(scope="module")
def place(command, tmp_path_factory, tiny_model_directory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    (folder / "rules.py").write_text(
        "def score(prompts, completions):\n    return [-float(len(text)) for text in completions]\n\n\n"
        "def broken(prompts, completions):\n    raise RuntimeError('no')\n"
    )
    (folder / "run.yaml").write_text(f"model: {tiny_model_directory}\ndata: pairs.jsonl\noutput: dpo\nbeta: 0.2\n")
    (folder / "twice.yaml").write_text("lr: 1\nlearning_rate: 2\n")
    done = command(folder, "train", "dpo", "run.yaml", "--max_steps", "3", "--set", "sample_tokens=8", "--batch-size=8")
    assert done.returncode == 0, done.stderr
    assert "note: 48 rows read: 48 used, 0 rejected, 0 duplicates." in done.stderr, done.stderr
    return folder


def test_settings_come_from_the_file_the_flags_and_set(command, place):
    config = (place / "dpo" / "config.yaml").read_text()
    for line in ("beta: 0.2", "max_steps: 3", "sample_tokens: 8", "batch_size: 8"):
        assert line in config.splitlines()


def test_files_of_data_are_collected_and_a_resume_of_nothing_is_a_new_run_and_says_so(command, place):
    shutil.copy(place / "pairs.jsonl", place / "more.jsonl")
    done = command(
        place, "train", "dpo", "run.yaml", "--output", "new", "--max-steps", "1", "--batch-size", "2", "--resume",
        "--dataset_name", "pairs.jsonl", "--data", "more.jsonl", "--sample-prompts", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "note: 96 rows read" in done.stderr
    assert "note: new holds no checkpoint to go on from, so a new run begins." in done.stderr


def test_evaluate_says_the_win_rate_and_makes_the_report(command, place, tiny_model_directory):
    done = command(
        place, "evaluate", "--model", "dpo", "--against", tiny_model_directory, "--judge", "rules.py:score",
        "--max-tokens", "6",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored = json.loads((place / "dpo" / "evaluation" / "win_rate.json").read_text())
    assert f"win rate {stored['win_rate']:.3f}" in done.stdout
    assert (place / "dpo" / "report.html").stat().st_size > 100_000
    ranked = command(place, "evaluate", "--model", "dpo", "--against", tiny_model_directory)
    assert ranked.returncode == 0 and "preference accuracy" in ranked.stdout


def test_the_command_that_a_report_and_a_card_print_makes_the_win_rate(command, place):
    shutil.copytree(place / "dpo", place / "no rate")
    (place / "no rate" / "evaluation" / "win_rate.json").unlink(missing_ok=True)
    assert command(place, "report", "no rate").returncode == 0
    card = (place / "no rate" / "MODEL_CARD.md").read_text()
    (printed,) = [line.strip() for line in card.splitlines() if "preferably evaluate" in line]
    assert printed in html.unescape((place / "no rate" / "report.html").read_text())
    done = command(place, *shlex.split(printed)[1:], "--max-tokens", "3")
    assert done.returncode == 0 and done.stdout.startswith("win rate"), done.stderr
    assert (place / "no rate" / "evaluation" / "win_rate.json").exists()


def test_sample_writes_the_best_of_several_once(command, place):
    asked = ("sample", "--model", "dpo", "--data", "pairs.jsonl", "--output", "best.jsonl", "--max-tokens", "6")
    done = command(place, *asked, "--best-of", "4", "--reward", "rules.py:score", "--limit", "5")
    assert done.returncode == 0, done.stderr
    assert "at most 0.64 nats" in done.stdout and "5 rows written to best.jsonl" in done.stdout
    assert [json.loads(line)["best_of"] for line in (place / "best.jsonl").read_text().splitlines()] == [4] * 5
    nobody = command(place, "evaluate", "--model", "dpo", "--against", "dpo", "--best-of", "4", "--reward", "length")
    assert nobody.returncode == 2 and "with --best-of also --judge" in nobody.stderr
    again = command(place, *asked)
    assert again.returncode == 3 and "best.jsonl exists already" in again.stderr


def test_without_a_judge_only_pairs_are_ranked(command, place, tiny_model_directory):
    ranked = command(place, "evaluate", "--model", "dpo", "--against", tiny_model_directory, "--output", "ranks")
    assert ranked.returncode == 0 and "preference accuracy" in ranked.stdout, ranked.stderr
    assert (place / "ranks" / "evaluation" / "preference_accuracy.json").exists()
    shutil.copytree(place / "dpo", place / "kto")
    config = place / "kto" / "config.yaml"
    config.write_text(config.read_text().replace("method: dpo", "method: kto"))
    for more in ((), ("--output", "ranks")):
        done = command(place, "evaluate", "--model", "kto", "--against", tiny_model_directory, *more)
        assert done.returncode == 2 and "--judge is missing: labels hold no pairs" in done.stderr


def test_evaluate_tells_what_was_trained_on(command, place, tiny_model_directory):
    def evaluate(model, against, *data):
        return command(
            place, "evaluate", "--model", model, "--against", against, "--judge", "rules.py:score", "--max-tokens", "3",
            "--output", "seen", *data,
        )  # fmt: skip

    assert "warning" not in evaluate("dpo", "dpo").stderr  # what a run held out it was not trained on
    done = evaluate("dpo", tiny_model_directory, "--data", "pairs.jsonl")
    held_out = len((place / "dpo" / "held_out.jsonl").read_text().splitlines())
    assert done.returncode == 3 and 0 < held_out < 48
    assert f"dpo was trained on {48 - held_out} of the prompts in pairs.jsonl" in done.stderr
    done = evaluate(tiny_model_directory, "dpo", "--data", "pairs.jsonl", "--limit", "4")
    assert done.returncode == 0 and f"dpo was trained on {48 - held_out} of these prompts" in done.stderr
    shutil.copytree(place / "dpo", place / "elsewhere")
    config = place / "elsewhere" / "config.yaml"
    config.write_text(config.read_text().replace("pairs.jsonl", "desk/pairs"))
    done = evaluate("dpo", "elsewhere", "--limit", "4")
    assert done.returncode == 0 and "trained on desk/pairs, which is no file here" in done.stderr


def test_chat_shows_both_answers(command, place, tiny_model_directory):
    done = command(
        place, "chat", "dpo", "--against", tiny_model_directory, "--prompt", "a 1?", "--max-tokens", "4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "dpo" in done.stdout and str(tiny_model_directory)[:20] in done.stdout.replace("\n", "")


def test_ready_and_report(command, place, tiny_model_directory):
    found = command(place, "ready", "--model", tiny_model_directory, "--data", "pairs.jsonl", "--max-tokens", "4")
    assert found.returncode == 1 and "fine-tune first" in found.stdout
    assert command(place, "report", "dpo").stdout.strip().endswith("report.html")


def test_export_says_what_was_proved(command, place):
    done = command(place, "export", "dpo", "--output", "plain", "--checkpoint", "last", "--dtype", "bfloat16")
    assert done.returncode == 0, done.stderr
    assert "equal to the last bit" in done.stdout and "casting moved" in done.stdout
    assert (place / "plain" / "model.safetensors").exists() and (place / "plain" / "export.json").exists()
    again = command(place, "export", "dpo", "--output", "plain")
    assert again.returncode == 2 and "there already" in again.stderr


def test_report_compares_several_runs(command, place):
    shutil.copytree(place / "dpo", place / "other")
    assert command(place, "report", "dpo", "other").stdout.strip() == "comparison.html"
    assert command(place, "report", "dpo", "other", "--output", "x.html").stdout.strip() == "x.html"
    assert "<h1>Comparison of 2 runs</h1>" in (place / "comparison.html").read_text() == (place / "x.html").read_text()


def test_methods_lists_every_method_in_a_process_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", "from preferably.cli.main import main; main()", "methods"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and all(name in done.stdout for name in METHODS), done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("train", "dop", "--model", "m", "--data", "pairs.jsonl", "--output", "x1"), 2, "did you mean 'dpo'"),
        (("train", "dpo", "--model", "m", "--data", "pairs.jsonl", "--output", "x2", "--bta", "1"), 2, "'beta'"),
        (("train", "dpo", "--model", "m", "--data", "pairs.jsonl"), 2, "--output is missing"),
        (("train", "dpo", "--model", "nowhere/at/all", "--data", "pairs.jsonl", "--output", "x3"), 4, "Cannot load"),
        (("train", "dpo", "run.yaml", "--output", "x4", "--data", "none.jsonl"), 3, "none.jsonl does not exist"),
        (("train", "dpo", "run.yaml"), 2, "already holds a run"),
        (("train", "dpo", "none.yaml", "--output", "x5"), 2, "none.yaml"),
        (
            ("train", "dpo", "run.yaml", "--output", "x8", "--lr", "1", "--learning-rate=2"),
            2,
            "lr = 1 and learning_rate = 2",
        ),
        (("train", "dpo", "run.yaml", "--output", "x8", "--beta", "1", "--set", "beta=2"), 2, "beta = 1 and beta = 2"),
        (("train", "dpo", "run.yaml", "--output", "x8", "--output", "x9"), 2, "output = x8 and output = x9"),
        (("train", "dpo", "twice.yaml", "--output", "x8"), 2, "lr = 1 and learning_rate = 2"),
        (("train", "sft", "run.yaml", "--output", "x6"), 2, "does not take 'beta'"),
        (("evaluate", "--model", "dpo", "--against", "dpo", "--judge", "rules.py:scor"), 2, "'score'"),
        (
            ("evaluate", "--model", "dpo", "--against", "dpo", "--judge", "rules.py:broken", "--max-tokens", "2"),
            2,
            "no",
        ),
        (("evaluate", "--model", "dpo", "--against", "sft", "--against=dpo"), 2, "--against was given 2 times"),
        (("evaluate", "--model", "dpo", "--model=sft", "--against", "dpo"), 2, "with several models"),
        (("evaluate", "--plan", "80"), 2, "above 0 and up to 50"),
        (("evaluate", "--judgments", "pairs.jsonl", "--model", "a", "--against", "b"), 2, "is a store of judgments"),
        (("evaluate", "--judgments", "pairs.jsonl"), 2, "needs --model and --against"),
        (("reward", "explain", "--model", "a", "--model", "b"), 2, "--model was given 2 times"),
        (("report", "."), 2, "not a run directory"),
        (("report", "dpo", "."), 3, "not a run directory"),
        (("report", "dpo", "dpo"), 2, "two or more different runs"),
        (("report", "dpo", "--output", "x.html"), 2, "--output is for a comparison"),
        (("report", "dpo", ".", "--watch"), 2, "--watch shows one run"),
        (("report", "dpo", "--watch", "--port", "70000"), 2, "0-65535; give another"),
        (("train", "dpo", "run.yaml", "--output", "x7", "--track", "mlflow"), 2, "'tensorboard', 'wandb' or 'trackio'"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(command, place, arguments, code, says):
    done = command(place, *arguments)
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and says in errors[0]
    assert "Traceback" not in done.stderr
