from __future__ import annotations

import pytest

from noibo.routing.features import Query, features_of
from noibo.routing.task import TASKS, task_of


@pytest.mark.parametrize(
    ("prompt", "task"),
    [
        ("Dịch sang tiếng Anh: Hôm nay trời đẹp quá", "translation"),
        ("Translate this into Vietnamese: the rain has stopped", "translation"),
        ("Tóm tắt biên bản cuộc họp dưới đây", "summary"),
        ("An has 12 apples and gives 5 to Lan. How many apples does he have now?", "mathematics"),
        ("```python\ndef f(x):\n    return x + 1\n```\nWhy does this fail?", "code"),
        ("Soạn email mời khách dự hội thảo", "writing"),
        ("So sánh hai phương án lưu trữ", "reasoning"),
        ("Ai là người đầu tiên lên Mặt Trăng?", "facts"),
        ("Good evening to you, my friend", "chat"),
    ],
)
def test_the_kind_of_a_request(prompt: str, task: str) -> None:
    assert task in TASKS
    assert task_of(features_of(Query(prompt))) == task


def test_without_features_it_is_a_chat() -> None:
    assert task_of(None) == "chat"
