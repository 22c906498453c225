"""A build is trusted when it has answered: a real prompt, in a child process.

Builds of llama.cpp run the smallest model of the store, in the worker that they would be used in.
vLLM and transformers make a model of a few numbers themselves, so that nothing has to be fetched.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from noibo import settings
from noibo.engines.engine import Engine, Launch, Model, Speed
from noibo.engines.environments.bound import Bound
from noibo.engines.environments.environment import interpreter_of
from noibo.engines.faults import Fault, Kind, diagnose
from noibo.engines.llama_cpp.embed import only_embeds
from noibo.engines.memory.size import Size
from noibo.engines.worker import Worker
from noibo.errors import EngineUnusable, ModelNotFound, NoiboError, WorkerStartFailed
from noibo.hardware.offload import Device, ask_engine
from noibo.modelstore.gguf.model_info import describe
from noibo.modelstore.gguf.reader import read_header
from noibo.modelstore.printable import shown
from noibo.modelstore.store import Store
from noibo.modelstore.stored_model import StoredModel

PROOF_TOKENS: Final = 32
CONTEXT: Final = 512
PATIENCE_S: Final = 900.0  # the first import of these engines compiles what they are made of
LINES_TOLD: Final = 12
_LONGEST: Final = 200
_GONE: Final = "Nothing of it is left. "
_OTHERS: Final = "`noibo engines list` shows what there is; the wheel that came with noibo goes on."
_SHAPE: Final = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 576,  # as a small real one: vLLM's kernels are not made for a tinier one
    "intermediate_size": 1536,
    "num_hidden_layers": 2,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 4096,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "dtype": "bfloat16",
}
# Each is given a folder with that config.json, and says how many tokens it wrote, and on what.
_VLLM: Final = """
import json, sys
if __name__ == "__main__":
    import torch
    from vllm import LLM, SamplingParams
    model = LLM(model=sys.argv[1], load_format="dummy", skip_tokenizer_init=True,
                enforce_eager=True, max_model_len=64, max_num_seqs=2)
    asked = SamplingParams(max_tokens=4, detokenize=False, ignore_eos=True)
    said = model.generate([{"prompt_token_ids": [1, 5, 9, 13]}], asked, use_tqdm=False)
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print("\\n" + json.dumps([len(said[0].outputs[0].token_ids), gpus]), flush=True)
"""
_TRANSFORMERS: Final = """
import json, sys
import accelerate, bitsandbytes, torch
from transformers import AutoConfig, AutoModelForCausalLM
place = "cuda" if torch.cuda.is_available() else "cpu"
model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1])).to(place)
asked = torch.tensor([[1, 5, 9, 13]], device=place)
said = model.generate(asked, attention_mask=torch.ones_like(asked), max_new_tokens=4,
                      min_new_tokens=4, pad_token_id=2)
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print("\\n" + json.dumps([int(said.shape[1]) - 4, gpus]), flush=True)
"""
_PROGRAMS: Final = {"vllm": _VLLM, "transformers": _TRANSFORMERS}


@dataclass(frozen=True, slots=True)
class Answered:
    """It did. `rate`: prompt tokens a second; `devices`: GPUs that it sees."""

    devices: tuple[str, ...] = ()
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class LlamaTrial:
    """Tries builds of llama.cpp on the smallest model of the store, by its adapter."""

    engine: Engine
    store: Store
    limits: settings.Engine

    def require_model(self) -> Model:
        """Raises `ModelNotFound` where there is none, before anything is fetched."""
        found = sorted(self.store.list(), key=lambda one: one.size)
        least = next((one for one in found if _writes(one)), None)
        if least is None:
            raise ModelNotFound(
                "An engine is trusted when it has answered, and there is no model here to ask.",
                next_step="`noibo pull smollm2:135m` fetches a small one; then again.",
            )
        return Model(str(least.reference), self.engine.name, path=least.path, bytes=least.size)

    def __call__(self, folder: Path) -> Answered:
        """Raises `EngineUnusable` with its last lines."""
        python = str(interpreter_of(folder))
        usable = ask_engine(python)
        if usable.problem:
            lines = usable.problem.strip().splitlines()
            raise unusable(diagnose(usable.code, lines), lines)
        rate = asyncio.run(self._ask(python, usable.devices))
        return Answered(tuple(one.description for one in usable.devices), rate)

    def launch(self, model: Model, python: str, devices: Sequence[Device]) -> Launch:
        """How its worker is started: as in use, so without a limit of memory where it uses GPUs,
        whose libraries take gigabytes of addresses."""
        made = self.engine.launch(model, Size(CONTEXT, 1), self.limits, Speed())
        place = {**made.placement, "device": "gpu"} if devices else made.placement
        return replace(made, python=python, proof_tokens=PROOF_TOKENS, placement=place)

    async def _ask(self, python: str, devices: Sequence[Device]) -> float | None:
        model = self.require_model()
        launch = self.launch(model, python, devices)
        worker = Worker(self.engine, model, launch, self.limits)
        try:
            await worker.start()
            return await worker.prove()
        except WorkerStartFailed as exc:
            fault = worker.fault or Fault(Kind.REFUSED, "did not answer")
            raise unusable(fault, worker.last_lines().splitlines()[2:]) from exc
        finally:
            await worker.stop()


def _writes(stored: StoredModel) -> bool:
    """Whether it is a GGUF that answers in words; one that cannot be read does not."""
    if stored.facts.format != "gguf":
        return False
    try:
        info = describe(read_header(stored.path))
    except (OSError, NoiboError):
        return False
    return not only_embeds(Model(str(stored.reference), "llama_cpp", info=info))


def try_program(engine: str, folder: Path) -> Answered:
    """Have vLLM or transformers answer. Raises `EngineUnusable` with its last lines."""
    with tempfile.TemporaryDirectory(
        prefix="noibo-trial-", dir=folder.parent, ignore_cleanup_errors=True
    ) as room:
        shape = Path(room) / "config.json"
        shape.write_text(json.dumps(_SHAPE), encoding="utf-8")
        program = Path(room) / "trial.py"
        program.write_text(_PROGRAMS[engine], encoding="utf-8")
        own = {"HOME": room, "TMPDIR": room, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        own |= {"VLLM_CPU_KVCACHE_SPACE": "1", "DO_NOT_TRACK": "1"}
        command = [str(interpreter_of(folder)), str(program), room]
        try:
            with Bound(command, settings.bare_environment() | own, Path(room)) as bound:
                lines = bound.said(PATIENCE_S).splitlines()
        except subprocess.TimeoutExpired:
            why = f"did not answer within {PATIENCE_S:.0f} s"
            raise unusable(Fault(Kind.STALLED, why), ()) from None
        except OSError as exc:
            raise unusable(Fault(Kind.REFUSED, f"could not be run: {exc}"), ()) from exc
    return _read(bound.code or 0, lines)


def _read(code: int, lines: Sequence[str]) -> Answered:
    if code:
        raise unusable(diagnose(code, lines[-LINES_TOLD:]), lines)
    for line in reversed(lines):
        try:
            count, gpus = json.loads(line)
            if int(count) > 0:
                return Answered(tuple(map(str, gpus)))
        except (ValueError, TypeError):
            continue
    raise unusable(Fault(Kind.REFUSED, "said nothing"), lines)


def unusable(fault: Fault, lines: Sequence[str]) -> NoiboError:
    """A build that was tried and did not answer."""
    error = EngineUnusable(
        f"It was installed and cannot be trusted: asked for its first answer, it {fault.text}.",
        next_step=_GONE + _OTHERS,
    )
    told = [shown(line.strip(), _LONGEST) for line in lines if line.strip()][-LINES_TOLD:]
    error.lines = "\nIts last lines:\n  " + "\n  ".join(told) if told else ""
    return error
