"""Demographics: counts of five and more, going on by five people at once."""

import json

from preferably.feedback.store.labeling_tables import demographics
from preferably.labeling.cells import cells_of

ASK = "Which age group are you in?"
PROJECT = {"demographics": [{"ask": ASK, "choices": ["young", "old"]}]}


def tell(site, number, choice):
    person = site.come(f"p{number}").person
    row = {"person": person.id, "answers": json.dumps({ASK: choice}), "said_at": f"2026-11-26T00:00:{number:02}"}
    with site.store.writing() as connection:
        connection.execute(demographics.insert().values(**row))


def test_counts_change_by_five_people_at_once(site):
    here = site(**PROJECT)
    seen = []
    for number in range(16):
        tell(here, number, "young" if number % 2 else "old")
        found = cells_of(here.store, here.project)
        seen.append((found.people, *found.questions[ASK].values()))
    assert seen[:4] == [(0, None, None)] * 4
    assert seen[4:9] == [(5, None, None)] * 5  # three and two
    assert seen[9:14] == [(10, 5, 5)] * 5
    assert seen[14:] == [(15, 7, 8)] * 2


def test_what_is_no_choice_any_more_counts_for_nobody(site):
    here = site(**PROJECT)
    for number in range(10):
        tell(here, number, "in between")
    assert cells_of(here.store, here.project).people == 0


def test_the_page_tells_no_small_count_and_no_name(site):
    here = site(**PROJECT)
    for number in range(10):
        tell(here, number, "young" if number < 8 else "old")
    lead = here.come("lee", "lead")
    text = lead.get("/admin/demographics").text
    assert text.count(">kept back<") == 2 and ">8<" not in text and ">2<" not in text and "p3" not in text
