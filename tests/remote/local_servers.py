"""Real servers on 127.0.0.1, each with a small model that is made here: llama.cpp, and `transformers serve`.

The models have random weights, so what they say means nothing; that it comes in the form asked for, with log-probs that
are those of the text, is what a server does.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import numpy as np

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
# In a process of its own, which ends with it whatever llama.cpp does.
LLAMA = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.port, params.warmup = 8192, 2, 0, False
server = xllamacpp.Server(params)
print("AT", server.listening_address, flush=True)
threading.Event().wait()
"""


def write_gguf(file, seed=0):
    """A llama of two layers with a vocabulary of bytes and letters, as llama.cpp reads it."""
    from gguf import GGUFWriter, TokenType

    width, layers, heads, hidden = 64, 2, 4, 128
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)),
             *(chr(code) for code in range(33, 127)), "\u2581"]  # fmt: skip
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, *[TokenType.BYTE] * 256]
    kinds += [TokenType.NORMAL] * (len(words) - len(kinds))
    rng = np.random.default_rng(seed)
    made = GGUFWriter(file, "llama")
    made.add_context_length(8192)
    made.add_embedding_length(width)
    made.add_block_count(layers)
    made.add_feed_forward_length(hidden)
    made.add_head_count(heads)
    made.add_head_count_kv(heads)
    made.add_layer_norm_rms_eps(1e-5)
    made.add_rope_dimension_count(width // heads)
    made.add_vocab_size(len(words))
    made.add_tokenizer_model("llama")
    made.add_token_list(words)
    made.add_token_scores([0.0] * len(words))
    made.add_token_types(kinds)
    made.add_unk_token_id(0)
    made.add_bos_token_id(1)
    made.add_eos_token_id(2)
    made.add_chat_template(TEMPLATE)

    def tensor(name, *shape, spread=0.3):
        values = rng.normal(0, spread, shape) if len(shape) > 1 else np.ones(shape)
        made.add_tensor(name, values.astype(np.float32))

    tensor("token_embd.weight", len(words), width)
    tensor("output_norm.weight", width)
    tensor("output.weight", len(words), width)
    for layer in range(layers):
        for name, *shape in (
            ("attn_norm", width), ("attn_q", width, width), ("attn_k", width, width), ("attn_v", width, width),
            ("attn_output", width, width), ("ffn_norm", width), ("ffn_gate", hidden, width), ("ffn_up", hidden, width),
            ("ffn_down", width, hidden),
        ):  # fmt: skip
            tensor(f"blk.{layer}.{name}.weight", *shape)
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    return file


@contextmanager
def llama_cpp(folder):
    """The URL of llama.cpp's server with a model that is written into `folder`."""
    model = write_gguf(folder / "tiny.gguf")
    with _process([sys.executable, "-c", LLAMA, str(model)], folder / "llama.log") as process:
        address = _wait(process, lambda: _said(folder / "llama.log", "AT "))
        yield f"{address.rstrip('/')}/v1"


@contextmanager
def transformers_serve(folder, model):
    """The URL of `transformers serve` with the model directory `model`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model), "--host", "127.0.0.1",
               "--port", str(port), "--device", "cpu"]  # fmt: skip
    with _process(command, folder / "serve.log") as process:
        _wait(process, lambda: _answers(f"http://127.0.0.1:{port}/health"))
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def _process(command, log):
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | quiet)
    process.log = log
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process, ready):
    until = time.monotonic() + 180  # both take seconds; a busy machine takes longer
    while time.monotonic() < until:
        if found := ready():
            return found
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{process.log.read_text(errors='replace')[-3000:]}")


def _said(log, word):
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith(word):
            return line.removeprefix(word)
    return ""


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False
