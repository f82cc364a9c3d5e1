"""The card tells what the files say, in Markdown that text of others cannot break out of."""

import re
from pathlib import Path
from types import ModuleType

import yaml

from preferably.reporting.card import in_code, in_markdown, write_card


def test_the_card_has_the_figures_of_the_files(fake: ModuleType, tmp_path: Path) -> None:
    card = write_card(fake.dpo_run(tmp_path / "dpo")).read_text(encoding="utf-8")
    assert "**Win rate 81.2% (95% interval 78.9% to 83.5%): better.**" in card
    assert "| judge | `preferably.quickstart.truth:score` |" in card
    assert "| decoding | T = 0.7, top-p 1, up to 64 tokens, 4 samples a prompt |" in card
    assert "| correctness | 90.4% | 87.1% | −3.3 |" in card
    assert "Trained from `runs/sft/model` on `pairs.jsonl`." in card
    assert "Read 4,120 = used 4,071 + deduplicated 31 + rejected 18." in card
    assert "| beta | 0.1 |" in card and "| learning rate | 1e-05 |" in card
    assert "- Fell while training: correctness (90.4% to 87.1%)." in card
    assert "- Raised in training, `length_drift`: The policy's samples are 42% shorter" in card
    front = yaml.safe_load(card.split("---")[1])
    assert front == {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["preferably", "dpo"]}


def test_every_table_is_whole(fake: ModuleType, tmp_path: Path) -> None:
    for run in (fake.audited(fake.dpo_run(tmp_path / "dpo")), fake.hostile_run(tmp_path / "hostile")):
        lines = write_card(run).read_text(encoding="utf-8").splitlines()
        for above, line in zip(lines, lines[1:], strict=False):
            cells, cells_above = (
                len(re.findall(r"(?<!\\)\|", text)) if text.startswith("|") else 0 for text in (line, above)
            )
            assert not cells or not cells_above or cells == cells_above, line


def test_without_a_win_rate_it_claims_nothing(fake: ModuleType, tmp_path: Path) -> None:
    card = write_card(fake.sft_run(tmp_path / "sft", state="failed")).read_text(encoding="utf-8")
    assert "No win rate was measured" in card and "better." not in card.replace("is better than", "")
    assert "**This run did not finish: its state is `failed`.**" in card
    assert "    preferably evaluate --model" in card


def test_hostile_names_are_no_markup(fake: ModuleType, tmp_path: Path) -> None:
    card = write_card(fake.hostile_run(tmp_path / "hostile")).read_text(encoding="utf-8")
    assert "<script" not in card.replace("\\<script", "")
    assert in_markdown("[a](javascript:x) | *b* <i>") == r"\[a\](javascript:x) \| \*b\* \<i\>"
    assert in_code("a`b|c") == r"a\`b\|c"
    assert in_code("a_b") == "`a_b`"


def test_the_card_goes_with_the_model_but_overwrites_no_readme_of_others(fake: ModuleType, tmp_path: Path) -> None:
    run = fake.dpo_run(tmp_path / "dpo")
    (run / "model").mkdir()
    card = write_card(run)
    readme = run / "model" / "README.md"
    assert readme.read_text() == card.read_text()
    write_card(run)
    readme.write_text("mine")
    write_card(run)
    assert readme.read_text() == "mine"


def test_audits_stand_in_the_card_and_among_its_limits(fake: ModuleType, tmp_path: Path) -> None:
    bare = write_card(fake.dpo_run(tmp_path / "bare")).read_text(encoding="utf-8")
    assert "## Audits" not in bare and "Nothing was audited" in bare
    made = write_card(fake.audited(fake.dpo_run(tmp_path / "audited"))).read_text(encoding="utf-8")
    audits, limits = made.partition("## Audits")[2].partition("## Limits")[::2]
    assert "By the string rule it complies with 1% of harmful prompts." in audits and "### Honesty" in audits
    assert "Honesty, bad: Where there is no answer it says so" in limits and "Nothing was audited" not in limits
    assert "Safety, good" not in limits
