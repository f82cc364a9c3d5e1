"""`preferably reward explain` on a reward model that learnt a planted word, from files to terminal and page; and what
`evaluate --reward-model` says of few records."""

import json
from random import Random

import pytest
from typer.testing import CliRunner

import preferably
from preferably.cli.main import app

WHOLE, LACKS = "open menu. thanks. done soon.", "open menu. done soon."


@pytest.fixture(scope="module")
def rm(tiny_model_directory, tmp_path_factory):
    """Two axes: `warm` is whether the word "thanks" is there, `calm` whether there is no "!"."""
    place, random, rows = tmp_path_factory.mktemp("explained"), Random(0), []
    for number in range(120):
        said = []
        for warm in (number % 2, 1 - number % 2):
            pieces = random.sample(["open menu.", "done soon.", "menu soon.", "open it."], 2)
            pieces.insert(random.randrange(3), "thanks." if warm else random.choice(["done.", "soon!"]))
            said.append(" ".join(pieces))
        ratings = [{"warm": 1 + 4 * ("thanks" in text), "calm": 5 - 4 * ("!" in text)} for text in said]
        rows.append({"prompt": f"{number}? ", "completions": said, "ratings": ratings})
    (place / "rated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return preferably.train(
        "reward", model=tiny_model_directory, data=place / "rated.jsonl", output=place / "rm", axes="warm=0.7,calm=0.3",
        learning_rate=3e-3, batch_size=8, epochs=4, held_out=8, device="cpu", dtype="float32",
    )  # fmt: skip


def said(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def test_the_planted_word_is_the_strongest_piece_on_its_axis(rm, tmp_path):
    page = tmp_path / "page.html"
    text = said(
        "reward", "explain", "--model", rm.path, "--prompt", "7? ", "--completion", WHOLE, "--completion", LACKS,
        "--output", page, "--device", "cpu",
    )  # fmt: skip
    lines = [line.rstrip() for line in text.splitlines()]
    titles = [line.split() for line in lines if line.startswith(("A  ", "B  "))]
    assert [(one[0], one[2], one[4]) for one in titles] == [("A", "warm", "calm"), ("B", "warm", "calm")]
    header = lines.index("  adds    warm    calm  strongest pieces")
    added, warm, calm, piece = lines[header + 1].split()
    assert piece == "thanks." and float(warm) > 0.1
    # What it adds is what the text scores more than the one without it, all in all and on both axes.
    gaps = [float(one) - float(other) for one, other in zip(titles[0][1:6:2], titles[1][1:6:2], strict=True)]
    assert [float(added), float(warm), float(calm)] == pytest.approx(gaps, abs=2e-3)
    assert float(added) == pytest.approx(0.7 * float(warm) + 0.3 * float(calm), abs=2e-3)
    assert "thanks." in page.read_text() and f"page  {page}" in text.replace("\n", "")


def test_a_word_alone_has_no_table_and_too_few_records_no_calibration(rm):
    alone = said("reward", "explain", "--model", rm.path, "--prompt", "7? ", "--completion", "thanks", "--by", "words")
    assert "thanks" in alone and "strongest pieces" not in alone
    held = said("evaluate", "--reward-model", rm.path)
    assert "calibration is not told: that takes 30 records or more" in held and "accuracy" in held
