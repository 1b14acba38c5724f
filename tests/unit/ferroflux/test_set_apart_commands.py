"""`ferroflux orders` and `ferroflux chat` on what was set apart: shown with its reason, tried again one by one or all."""

from typing import Any, Self

import pytest

from ferroflux.cli import options
from ferroflux.cli.main import main
from schemas.errors import InvalidRequestError

APART = {"reason": "record_too_large", "detail": "raise [max.message.bytes]", "since": "2026-11-30T10:00:00Z"}


def order(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "order_id": name, "status": "submitted", "thread": "t1", "lines": [], "unpriced": 0, "total": "2.00",
        "currency": "MXN", "customer": "", "submitted_at": "2026-11-30T10:00:00Z", "set_apart": APART, **changes,
    }  # fmt: skip


class Api:
    """An `ApiClient` with three orders and a conversation; `order-0002` cannot be tried again."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.posted: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get(self, path: str, **parameters: Any) -> Any:
        if path == "/v1/chat":
            one = {"thread": "t-[9]", "stage": "turn", "reason": "unexpected", "detail": "KeyError('[x]')", "times": 3}
            return {"threads": [{**one, "first_at": None, "last_at": "2026-11-30T10:00:00Z"}]}
        assert parameters["set_apart"] == "true"
        if parameters["after"] is None:
            return {"orders": [order("order-0001"), order("order-0002")], "next": "order-0002"}
        return {"orders": [order("order-0003")], "next": ""}

    def post(self, path: str, body: Any) -> Any:
        assert body == {"tenant": "norte"}
        if "order-0002" in path:
            raise InvalidRequestError("this version can make no record of it, either")
        self.posted.append(path)
        return {}


@pytest.fixture(autouse=True)
def api(monkeypatch) -> Api:
    api = Api()
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("runtime.observability.logs._configure", lambda *_, **__: None)
    monkeypatch.setattr(options, "ApiClient", lambda *_, **__: api)
    monkeypatch.setattr(options, "locate", lambda *_: "http://localhost")
    return api


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--tenant", "norte"])
    return int(ended.value.code or 0)


def test_orders_that_are_set_apart_are_listed_with_their_reason(capsys) -> None:
    assert run("orders", "list", "--set-apart") == 0
    assert "set apart: record_too_large" in capsys.readouterr().out


def test_one_order_is_tried_again(api, capsys) -> None:
    assert run("orders", "retry", "order-0001") == 0
    assert api.posted == ["/v1/orders/order-0001/retry"]
    assert "1 order tried again" in capsys.readouterr().out


def test_all_are_tried_again_and_one_that_fails_stops_no_other(api, capsys) -> None:
    assert run("orders", "retry", "--all") == 1
    assert api.posted == ["/v1/orders/order-0001/retry", "/v1/orders/order-0003/retry"]
    told = capsys.readouterr().out
    assert "order-0002: this version" in told
    assert "2 orders tried again" in told


def test_a_retry_names_one_order_or_all(api) -> None:
    assert run("orders", "retry") != 0
    assert run("orders", "retry", "order-0001", "--all") != 0
    assert api.posted == []


def test_conversations_that_are_set_apart_are_listed_and_tried_again(api, capsys) -> None:
    assert run("chat", "set-apart") == 0
    shown = capsys.readouterr().out
    for text in ("t-[9]", "turn", "unexpected: KeyError('[x]')"):
        assert text in shown
    assert run("chat", "retry", "t1") == 0
    assert api.posted == ["/v1/chat/t1/retry"]
