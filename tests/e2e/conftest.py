"""A model of words, with random weights: what the tests here train."""

import pytest
import word_models


@pytest.fixture(scope="session")
def untrained():
    """`untrained(words, context)`: a Llama whose tokens are these words, with a chat template."""
    return word_models.untrained
