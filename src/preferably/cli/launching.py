"""Several processes on this machine, by the machinery of torchrun but without its words."""

import logging
import os
import sys
import uuid
from tempfile import TemporaryDirectory

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

# Seconds that processes are given to end once they were asked to, or one of them failed: a step and a checkpoint.
GRACE = 300


def launch(processes: int, arguments: list[str]) -> int:
    """Run Python with `arguments` in `processes` processes and return the exit code: the first one that is not 0.

    SIGINT, SIGTERM and SIGHUP are passed on and give 128 + their number. If one process ends badly, the others are
    ended.
    """
    logging.disable(logging.ERROR)  # the process that fails says why; which process id got which signal helps nobody
    os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(GRACE)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # what is said between them stays on this machine
    try:
        with TemporaryDirectory() as logs:
            config = LaunchConfig(
                min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=uuid.uuid4().hex, max_restarts=0,
                rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0", local_addr="127.0.0.1",
                logs_specs=DefaultLogsSpecs(log_dir=logs),
            )  # fmt: skip
            elastic_launch(config, sys.executable)(*arguments)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code  # killed by a signal: as shells count
    except SignalException as error:
        return 128 + error.sigval
    return 0
