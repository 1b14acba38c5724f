"""From a model's name to its files, and the answers where there are none."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from retrieval.encoders.models import sources
from retrieval.encoders.models.sources import available_models, find_source
from retrieval.encoders.settings import EncoderSettings, default_cache_dir
from schemas.errors import ConfigurationError, ModelNotFoundError


def test_an_unknown_name_lists_the_built_in_models(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no-such-model.*multilingual-e5-small, all-MiniLM-L6-v2"):
        find_source("no-such-model", tmp_path)


def test_without_its_package_the_default_names_the_alternative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sources, "distribution", absent)
    monkeypatch.setattr(sources, "version", absent)
    with pytest.raises(ModelNotFoundError, match=r"Linux on x86-64.*FERROFLUX_ENCODER__MODEL=all-MiniLM-L6-v2"):
        find_source("multilingual-e5-small", tmp_path)
    assert [each.available for each in available_models()] == [False, False]


def test_a_built_in_model_is_found_without_importing_its_package(tmp_path: Path) -> None:
    assert find_source("all-MiniLM-L6-v2", tmp_path).path.is_dir()
    assert [each.model for each in available_models() if each.available] != []


def test_a_folder_is_called_by_its_name(tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    source = find_source(str(tiny_folder(name="house-model")), tmp_path)
    assert source.name == "house-model"


def test_a_url_is_fetched_once(tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = tiny_folder()
    url = f"file://{folder}"
    first = find_source(url, tmp_path / "cache")
    (folder / "config.json").unlink()
    second = find_source(url, tmp_path / "cache")
    assert first == second
    assert first.name == "tiny"
    assert (second.path / "config.json").is_file()
    assert (second.path / "1_Pooling" / "config.json").is_file()


def test_a_url_without_a_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises((ModelNotFoundError, ConfigurationError), match="empty"):
        find_source(f"file://{tmp_path}/empty", tmp_path / "cache")


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "ferroflux" / "models"
    assert EncoderSettings().cache_dir == tmp_path / "ferroflux" / "models"
