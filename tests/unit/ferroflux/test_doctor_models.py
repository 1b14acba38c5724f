"""What the doctor says of the models beside the text encoder."""

import json

from ferroflux.cli.check.findings import Health, models

VARIABLE = "FERROFLUX_SEARCH__RERANK__MODEL"


def finding(subject):
    (found,) = [one for one in models() if one.subject == subject]
    return found


def test_no_reranker_is_fine(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    found = finding("reranker")
    assert (found.health, VARIABLE in found.detail) == (Health.OPTIONAL, True)


def test_a_reranker_that_is_not_there_is_a_problem_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
    found = finding("reranker")
    assert found.health is Health.BAD
    assert "CrossEncoder.save_pretrained" in found.remedy


def test_a_folder_that_will_do_is_named(monkeypatch, tmp_path):
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "score"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    found = finding("reranker")
    assert (found.health, str(tmp_path) in found.detail) == (Health.GOOD, True)


def test_a_url_keeps_its_password(monkeypatch):
    monkeypatch.setenv(VARIABLE, "https://user:secret@models.example/rerankers/minilm")
    found = finding("reranker")
    assert found.health is Health.GOOD
    assert "minilm" in found.detail
    assert "secret" not in found.detail


def test_a_sparse_encoder_is_looked_at_too(monkeypatch, tmp_path):
    variable = "FERROFLUX_ENCODER__SPARSE__MODEL"
    monkeypatch.delenv(variable, raising=False)
    assert finding("sparse encoder").health is Health.OPTIONAL
    monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    assert finding("sparse encoder").health is Health.BAD
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertForMaskedLM"]}))
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setenv(variable, str(tmp_path))
    assert finding("sparse encoder").health is Health.GOOD
