"""The one error that users see. Every message says what, what was got, what was expected and what to do."""


class PreferablyError(Exception):
    """A problem that the user can act on; the command prints it on one line and exits with `exit_code`."""

    exit_code = 1


class ConfigError(PreferablyError):
    """A setting that does not exist or cannot be used."""

    exit_code = 2


class DataError(PreferablyError):
    """Data that cannot be used as asked."""

    exit_code = 3


class ModelError(PreferablyError):
    """A model or tokenizer that cannot be loaded or used."""

    exit_code = 4


class TrainingError(PreferablyError):
    """A run that had to stop; its last good checkpoint is kept."""

    exit_code = 5


class CheckpointError(PreferablyError):
    """A checkpoint that does not verify or does not belong to this run."""

    exit_code = 6


class ToldElsewhereError(PreferablyError):
    """One of several processes ends for a reason that another of them tells the user, with that one's exit code."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code
