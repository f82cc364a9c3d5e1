import os
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from preferably.cli.main import main


@pytest.fixture(scope="session")
def command():
    """`command(folder, *arguments, columns=200)`: what a user who types them there is told, and the exit code.

    In this process, as another would import torch for each; `test_cli` has one that starts a process.
    """

    def typed(folder, *arguments, columns=200):
        out, err, code = StringIO(), StringIO(), 0
        with (
            chdir(folder), redirect_stdout(out), redirect_stderr(err),
            patch.dict(os.environ, {"COLUMNS": str(columns)}),
            patch.object(sys, "argv", ["preferably", *map(str, arguments)]),
        ):  # fmt: skip
            try:
                main()
            except SystemExit as end:
                code = end.code or 0
        return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())

    return typed
