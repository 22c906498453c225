"""`noibo recommend` for machines that are described, and for this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noibo.cli.catalog_view import Language
from noibo.cli.fit import fit
from noibo.cli.recommend import Use, recommend
from noibo.errors import UsageError
from tests.running import run_noibo


def asked(capsys: pytest.CaptureFixture[str], **options: Any) -> Any:
    told = {"use": Use.vision, "hardware": None, "context": None, "parallel": 1, "limit": 3}
    recommend(**{**told, "json": True, **options})
    return json.loads(capsys.readouterr().out)


def test_each_with_why_and_the_exact_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    recommend(
        use=Use.vision,
        hardware="RTX 3060 12GB, 32GB",
        context=None,
        parallel=1,
        limit=2,
        json=False,
    )
    out = capsys.readouterr().out
    assert out.startswith("RTX 3060 12 GB, 32 GB of memory")
    assert "minimum tier" in out.splitlines()[0]
    assert out.count("noibo pull ") == 2
    for about in ("fits", "speed", "quality", "vietnamese", "licence", "next"):
        assert out.count(f"\n   {about:<10}  ") == 2
    assert "No processor was named" in out


def test_in_vietnamese(capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, hardware="RTX 3060 12GB, 32GB", lang=Language.vi, limit=1)
    why = said["models"][0]["why"]
    assert "nằm trọn trên GPU" in why["fits"]
    assert "kinh doanh" in why["licence"]
    assert said["models"][0]["command"].startswith("noibo pull ")


def test_all_but_the_remarks_is_in_vietnamese(capsys: pytest.CaptureFixture[str]) -> None:
    machine = "RTX 3060 12GB, 32GB"
    recommend(use=Use.rag, hardware=machine, context=None, limit=1, lang=Language.vi, json=False)
    out = capsys.readouterr().out
    first = out.splitlines()[0]
    assert first.startswith(
        "RTX 3060 12 GB, 32 GB RAM, bộ xử lý thông thường 8 nhân: mức tối thiểu"
    )
    assert "Để tìm trong tài liệu của bạn" in out
    assert "Nếu máy mạnh hơn (mức khuyến nghị, RTX 3090, 64GB): " in out
    said = " ".join(line for line in out.splitlines() if not line.startswith(("!", "  ")))
    assert not {"with", "tier", "memory", "takes", "Ordered"} & set(said.split())


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, hardware="RTX 3060 12GB, 32GB")
    assert (said["tier"], said["use"], said["context"]) == ("minimum", "vision", 4096)
    assert len(said["models"]) == 3
    first = said["models"][0]
    assert first["command"] == f"noibo pull {first['name']}"
    assert first["memory_bytes"]["middle"] > 10**9
    assert first["decode_tokens_per_s"]["middle"] > 0
    assert said["next_tier"]["hardware"]


def test_memory_and_speeds_have_the_shapes_that_noibo_fit_gives_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = "RTX 3060 12GB, 32GB"
    row = asked(capsys, hardware=machine, use=Use.chat, limit=1)["models"][0]
    fit(row["name"], context=4096, parallel=1, hardware=machine, json=True)
    same = json.loads(capsys.readouterr().out)
    names = ("memory_bytes", "ram_bytes", "decode_tokens_per_s", "prefill_tokens_per_s")
    assert {name: row[name] for name in names} == {name: same[name] for name in names}
    assert row["gpu_bytes"] == sum(one["bytes"] for one in same["gpus"])
    assert list(row["memory_bytes"]) == ["middle", "low", "high"]
    assert row["memory_bytes"]["middle"] == pytest.approx(
        row["gpu_bytes"] + row["ram_bytes"], abs=1
    )
    assert row["gpu_bytes"] + row["spare_bytes"] < 12 * 2**30


def test_what_writes_nothing_has_no_speed_of_writing(capsys: pytest.CaptureFixture[str]) -> None:
    row = asked(capsys, hardware="CPU 16GB", use=Use.embedding, limit=1)["models"][0]
    assert row["decode_tokens_per_s"] is None
    assert (row["gpu_bytes"], row["whole_on_gpu"]) == (0, False)


def test_more_callers_and_more_context_take_more(capsys: pytest.CaptureFixture[str]) -> None:
    one = asked(capsys, hardware="GPU 24GB, 64GB", use=Use.code, limit=1)
    many = asked(capsys, hardware="GPU 24GB, 64GB", use=Use.code, limit=1, parallel=8)
    assert many["parallel"] == 8
    assert many["models"][0]["spare_bytes"] != one["models"][0]["spare_bytes"]


def test_a_machine_that_is_not_understood_is_refused() -> None:
    with pytest.raises(UsageError, match="RTX 3061"):
        recommend(use=Use.chat, hardware="RTX 3061", context=None, parallel=1, limit=1, json=False)


def test_licences_of_the_settings_hold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_LICENCES_ALLOWED", "llama")
    said = asked(capsys, hardware="A100 40GB, 64GB", use=Use.code, limit=9)
    assert said["models"] and {row["licence_kind"] for row in said["models"]} == {"llama"}


def test_nothing_that_fits_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recommend(use=Use.code, hardware="CPU 300MB", context=None, parallel=1, limit=3, json=False)
    assert "Nothing of the catalogue that is for code fits there." in capsys.readouterr().out


@pytest.mark.heavy
def test_for_this_machine_with_what_is_here(home: Path, model_store: Path) -> None:
    environ = {"NOIBO_STORE_PATH": str(model_store)}
    done = run_noibo("recommend", "--limit", "99", "--json", home=home, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.stdout)["models"]}
    assert rows
    if "smollm2:135m" in rows:
        assert rows["smollm2:135m"]["command"] == "noibo run smollm2:135m"
