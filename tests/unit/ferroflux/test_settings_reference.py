"""The page of settings says what the code does."""

from pathlib import Path

import pytest

from agent.settings import AgentSettings
from ferroflux.settings_reference import PROCESSES, render, variables
from query_api.settings import ApiSettings

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/settings.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == render(), (
        "run: python -m ferroflux.settings_reference > docs/reference/settings.md"
    )


@pytest.mark.parametrize("command", PROCESSES)
def test_every_setting_is_explained(command: str):
    silent = [name for name, field in variables(PROCESSES[command]) if not field.description]
    assert silent == []


def test_the_agent_looks_for_search_where_the_api_listens() -> None:
    assert AgentSettings().agent.catalogue.url == f"http://127.0.0.1:{ApiSettings().http.port}"
