"""The settings of search, as the environment gives them."""

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.search.settings import SearchSettings
from schemas.api.explain import RetrieverName


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FERROFLUX_", env_nested_delimiter="__")

    search: SearchSettings = Field(default_factory=SearchSettings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FERROFLUX_SEARCH__WEIGHTS", '{"sparse": 2}'), ("FERROFLUX_SEARCH__WEIGHTS__SPARSE", "2")],
)
def test_naming_one_weight_keeps_the_defaults_of_the_others(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert Settings().search.weights == {**SearchSettings().weights, RetrieverName.SPARSE: 2.0}


def test_naming_no_weight_changes_none():
    assert SearchSettings(weights={}) == SearchSettings()
    assert set(SearchSettings().weights) == set(RetrieverName)
