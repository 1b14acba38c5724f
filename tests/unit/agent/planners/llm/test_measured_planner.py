"""Which planner `eval-chat` asks: the rules by themselves, a configured model over the network, and never one for the other."""

import pytest
from structlog.testing import capture_logs

from agent.settings import ModelSettings, PlannerSettings
from ferroflux.evaluation.chat import PlannerChoice, open_planner
from schemas.errors import ConfigurationError
from tests.support.agent.contexts import context
from tests.support.agent.models import chat_completion, openai_server, tool_call

pytestmark = pytest.mark.slow


async def test_the_rules_need_no_settings() -> None:
    async with open_planner(PlannerChoice.DETERMINISTIC, PlannerSettings()) as planner:
        assert planner.name == "deterministic"


async def test_without_a_model_the_configured_planner_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="PLANNER__CHEAP__NAME"):
        async with open_planner(PlannerChoice.CONFIGURED, PlannerSettings()):
            pytest.fail("there is nothing to measure")


async def test_the_configured_model_is_asked() -> None:
    with capture_logs(), openai_server() as server:
        server.answer = lambda _body: chat_completion(tool_call("catalog_search", '{"query": "clavos"}'))
        settings = PlannerSettings(cheap=ModelSettings(name="small", base_url=server.url, timeout_s=5))
        async with open_planner(PlannerChoice.CONFIGURED, settings) as planner:
            step = await planner.plan(context("busco algo para colgar un cuadro"))
        assert server.asked
        assert step.model == "small"
