"""Preparing a model ahead of time, as the image's build does it."""

import pytest
import structlog

from retrieval.encoders import prepare

pytestmark = pytest.mark.slow


def test_an_unknown_model_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("FERROFLUX_ENCODER__MODEL", "no-such-model")
    monkeypatch.setenv("FERROFLUX_ENCODER__CACHE_DIR", str(tmp_path))
    with structlog.testing.capture_logs() as logs:
        assert prepare.main() == 1
    assert logs[0]["event"] == "model could not be prepared"
    assert "multilingual-e5-small" in logs[0]["remedy"]


def test_the_model_lands_in_the_cache_that_was_named(monkeypatch, tmp_path):
    monkeypatch.setenv("FERROFLUX_ENCODER__MODEL", "all-MiniLM-L6-v2")
    monkeypatch.setenv("FERROFLUX_ENCODER__CACHE_DIR", str(tmp_path))
    assert prepare.main() == 0
    assert any(tmp_path.rglob("*.onnx"))
