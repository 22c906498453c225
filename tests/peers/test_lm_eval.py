"""The field's evaluation harness, unchanged, against our server and against transformers."""

from __future__ import annotations

import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.peers.conftest import Peers
from tests.running import RunningServer

pytestmark = [pytest.mark.heavy, pytest.mark.shared, pytest.mark.timeout(3600)]
MODEL = "smollm2:135m"
QUESTIONS = 10
TASKS = {
    "noibo_choice": """
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "noibo_rolling": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list:
  - {metric: bits_per_byte}
""",
    "noibo_write": """
output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
""",
}
Found = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Harness:
    """The harness with our tasks; `runs` is a folder for what it finds."""

    peers: Peers
    tasks: Path
    runs: Path

    def run(self, *model: str) -> Found:
        """The samples of every task, in order, as the harness logged them."""
        out = Path(tempfile.mkdtemp(dir=self.runs))
        named = ("--tasks", ",".join(TASKS), "--include_path", str(self.tasks))
        logged = ("--log_samples", "--output_path", str(out))
        self.peers.run("-m", "lm_eval", *model, *named, *logged, where=out)
        found: Found = {}
        for name in TASKS:
            (log,) = out.rglob(f"samples_{name}_*.jsonl")
            rows = [json.loads(line) for line in log.read_text().splitlines()]
            found[name] = sorted(rows, key=lambda row: row["doc_id"])
        return found


@pytest.fixture(scope="module")
def harness(shared: Path, peers: Peers, tmp_path_factory: pytest.TempPathFactory) -> Harness:
    """Task definitions over a few questions of ARC."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = (shared / "eval/arc/arc_easy_test.jsonl").read_text().splitlines()[:QUESTIONS]
    data = folder / "questions.jsonl"
    data.write_text("\n".join(rows) + "\n")
    for name, task in TASKS.items():
        head = f"task: {name}\ndataset_path: json\ntest_split: test\n"
        where = f"dataset_kwargs: {{data_files: {{test: {data}}}}}\n"
        (folder / f"{name}.yaml").write_text(head + where + task)
    return Harness(peers, folder, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def theirs(harness: Harness) -> Found:
    """The same tasks by transformers on the dequantised weights."""
    model = ("--model", "hf", "--model_args", f"pretrained={harness.peers.folder},dtype=float32")
    return harness.run(*model, "--device", "cpu")


def chances(rows: list[dict[str, Any]]) -> list[tuple[float, bool]]:
    """Log-likelihood and greediness of every choice."""
    said = [one for row in rows for one in row["filtered_resps"]]
    return [(float(chance), str(greedy) == "True") for chance, greedy in said]


@pytest.mark.parametrize("tokenised", [True, False], ids=["ids", "texts"])
def test_the_harness_runs_unchanged_and_finds_what_transformers_does(
    tokenised: bool,
    real_server: RunningServer,
    harness: Harness,
    theirs: Found,
    capsys: pytest.CaptureFixture[str],
) -> None:
    about = {
        "base_url": real_server.url + "/v1/completions",
        "model": MODEL,
        "tokenizer": harness.peers.folder,
        "tokenized_requests": tokenised,
        "max_length": 2048,
    }
    arguments = ",".join(f"{name}={value}" for name, value in about.items())
    more = ("--batch_size", "4") if tokenised else ()
    model = ("--model", "local-completions", "--model_args", arguments, *more)
    ours = harness.run(*model)

    pairs = list(zip(chances(ours["noibo_choice"]), chances(theirs["noibo_choice"]), strict=True))
    apart = [abs(our - their) for (our, _), (their, _) in pairs]
    right = [statistics.mean(row["acc"] for row in one["noibo_choice"]) for one in (ours, theirs)]
    rolled = [
        [float(row["filtered_resps"][0]) for row in one["noibo_rolling"]] for one in (ours, theirs)
    ]
    length = sum(len(row["doc"]["question"]) for row in ours["noibo_rolling"])
    per_letter = sum(abs(a - b) for a, b in zip(*rolled, strict=True)) / length
    written = [[row["filtered_resps"][0] for row in one["noibo_write"]] for one in (ours, theirs)]
    same = sum(a == b for a, b in zip(*written, strict=True))
    with capsys.disabled():
        print(
            f"\n{len(pairs)} choices: mean {statistics.mean(apart):.3f}, largest {max(apart):.3f} "
            f"nat apart; accuracy {right[0]:.2f}, transformers {right[1]:.2f}; rolling "
            f"{per_letter:.4f} nat a letter apart; {same} of {QUESTIONS} answers the same"
        )
    assert len(pairs) == 4 * QUESTIONS
    assert statistics.mean(apart) < 1.0  # of whole answers of several tokens
    assert sum(a[1] == b[1] for a, b in pairs) >= len(pairs) - 1
    assert abs(right[0] - right[1]) <= 0.1
    assert per_letter < 0.05
    assert same >= QUESTIONS // 2
