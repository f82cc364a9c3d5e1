"""Align language models with what people prefer, and show that it worked."""

__version__ = "0.1.0"
