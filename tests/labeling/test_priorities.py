"""The order in which people are asked: written for open tasks, and kept to by the queue."""

import pytest
from labelers import answer, group, person

from preferably.errors import DataError
from preferably.labeling.priorities import askable, open_tasks, prioritize
from preferably.labeling.project import Project
from preferably.labeling.queue import Queue, Task


def test_the_largest_comes_first_and_what_is_answered_is_left_alone(store):
    queue = Queue(store, Project())
    queue.add([Task(group(number)) for number in range(3)] + [Task(group(9), gold={"expected": {"choice": 0}})], "b")
    queue.add([Task(group(7))], "other")
    found = open_tasks(store, "b")
    assert [task.group.prompt_text for task in found] == ["question 0", "question 1", "question 2"]
    assert prioritize(store, {task.number: value for task, value in zip(found, (0.1, 0.3, 0.2), strict=True)}) == 3
    ada, asked = person(store, "ada"), []
    for _ in range(3):
        turn = queue.next(ada)
        while turn.gold is not None:
            queue.answer(ada, turn.asked.turn, answer())
            turn = queue.next(ada)
        asked.append(turn.asked.group.prompt_text)
        queue.answer(ada, turn.asked.turn, answer())
    assert asked == ["question 1", "question 2", "question 0"]
    assert open_tasks(store, "b") == [] and prioritize(store, {found[0].number: 5.0}) == 0


def test_groups_are_asked_about_only_where_there_is_something_to_compare(store):
    Queue(store, Project()).add([Task(group(1, count=1), kind="thumbs"), Task(group(2, count=4), kind="ranking")], "b")
    found = open_tasks(store, "b")
    assert len(found) == 2 and [len(task.group.completions) for task in askable(found)] == [4]


def test_a_batch_that_there_is_not_is_refused_with_those_that_there_are(store):
    with pytest.raises(DataError, match="has no batch 'b'; it has: none"):
        open_tasks(store, "b")
    Queue(store, Project()).add([Task(group(1))], "first")
    with pytest.raises(DataError, match="it has: first"):
        open_tasks(store, "b")
