"""People who label in tests, what they are asked and what they say."""

from uuid import uuid4

from preferably.feedback.records import Completion, Group, Message
from preferably.labeling.people import People


def group(number, count=2):
    texts = [f"answer {letter} to {number}" for letter in "abcdefghi"[:count]]
    return Group((Message("user", f"question {number}"),), tuple(Completion((Message("assistant", t),)) for t in texts))


def invited(store, name, group="", role="labeler"):
    """Somebody who came in, and the token of their session."""
    people = People(store)
    return people.accept(people.invite(role, group), name, "" if role == "labeler" else "a long password")


def person(store, name, group="", role="labeler"):
    return invited(store, name, group, role)[0]


def answer(choice=0, **more):
    return {"id": str(uuid4()), "choice": choice, "strength": 2 if choice in (0, 1) else None, "seconds": 3.5} | more
