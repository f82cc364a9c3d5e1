"""Groups and judgments for a store, and the stores themselves."""

import pytest
from databases import database_server, new_database, place, store

from preferably.feedback.records import Completion, Group, Message, Origin, Preference
from preferably.feedback.store.entry import Entry

__all__ = ["new_database", "place", "database_server", "store"]  # fixtures


@pytest.fixture
def pair():
    """Makes a group of two answers."""

    def make(prompt="How do I cancel?", a="Open Settings.", b="Please stay!", **more):
        completions = tuple(Completion((Message("assistant", text),), Origin("m", 0.7, 1)) for text in (a, b))
        return Group((Message("user", prompt),), completions, **more)

    return make


@pytest.fixture
def said(pair):
    """Makes an entry: labeler `by` prefers the completion `choice`."""

    def make(choice=0, by="ada", group=None, **more):
        return Entry(group or pair(), Preference(choice, labeler=by), **more)

    return make
