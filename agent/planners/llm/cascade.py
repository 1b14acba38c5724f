"""The cascade behind the planner port: the cheap model, a strong one on doubt, the built-in planner when both fail.

It never fails: whatever happens to models, the built-in planner's step is there, and `degraded` says why it was taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

import structlog

from agent.planners.llm.model import AskedModel, ModelAnswer, ModelFailedError
from agent.planners.llm.prompt import messages_of
from agent.planners.llm.reading import BuiltinReading, Reading, follows, judge, read_answer
from agent.planners.llm.settings import PlannerSettings
from agent.planners.llm.tools import Toolbox
from agent.planners.llm.usage import UsageLedger
from agent.ports import Planner, PlannerStep, TurnContext
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import RetryableError

log = structlog.get_logger(__name__)

NAME: Final = "llm"


@dataclass(slots=True)
class _Spending:
    """What the models of one step used, whether or not their answer was taken."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = field(default_factory=Decimal)
    model: str = ""

    def add(self, model: str, answer: ModelAnswer) -> None:
        self.model = model
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens
        self.cost += answer.cost


class CascadePlanner:
    """`models` in the order in which they are asked; `builtin` reads every message too, and has the last word."""

    def __init__(
        self,
        models: Sequence[AskedModel],
        builtin: Planner,
        toolbox: Toolbox,
        ledger: UsageLedger,
        settings: PlannerSettings,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._models = tuple(models)
        self._builtin = builtin
        self._toolbox = toolbox
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._rests_until: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The name in replies and metrics; a step of the built-in planner says so itself."""
        return NAME

    async def plan(self, context: TurnContext) -> PlannerStep:
        """The first answer that is beyond doubt, or the built-in planner's step."""
        builtin = await self._read(context)
        spending = _Spending()
        doubt = await self._refusal(context)
        for model in () if doubt else self._models:
            reading = await self._ask(model, builtin, context, spending)
            if not reading.doubt:
                return PlannerStep(
                    calls=reading.calls,
                    reply=reading.reply,
                    planner=NAME,
                    model=model.name,
                    input_tokens=spending.input_tokens,
                    output_tokens=spending.output_tokens,
                    cost=spending.cost,
                    degraded="",
                )
            doubt = reading.doubt
        return replace(
            builtin.step,
            planner=builtin.step.planner or self._builtin.name,
            model=spending.model,
            input_tokens=spending.input_tokens,
            output_tokens=spending.output_tokens,
            cost=spending.cost,
            degraded=doubt or "not_configured",
        )

    async def _read(self, context: TurnContext) -> BuiltinReading:
        first = await self._builtin.plan(replace(context, results=(), step=0))
        if not context.results:
            return BuiltinReading(first, _names(first), follows=True)
        if not follows(first, context):
            # A model took this turn elsewhere: what is done is done, and the reply is written from it.
            return BuiltinReading(PlannerStep(planner=self._builtin.name), _names(first), follows=False)
        step = await self._builtin.plan(context)
        return BuiltinReading(step, _names(first) | _names(step), follows=True)

    async def _refusal(self, context: TurnContext) -> str:
        """Why no model may be asked at all; empty where one may."""
        if not self._models:
            return "not_configured"
        if not self._settings.is_capped:
            return ""
        try:
            spent = await self._ledger.spent(context.tenant, context.spender)
        except RetryableError as error:
            log.warning("usage unknown", code=error.code)
            return "budget_unknown"
        return "" if spent.within(self._settings) else "budget"

    async def _ask(
        self, model: AskedModel, builtin: BuiltinReading, context: TurnContext, spending: _Spending
    ) -> Reading:
        if self._rests_until.get(model.name, 0.0) > self._clock.monotonic():
            return Reading((), "", "cooling_down")
        try:
            answer = await model.ask(messages_of(context))
        except ModelFailedError as error:
            self._rests_until[model.name] = self._clock.monotonic() + self._settings.cooldown_s
            return Reading((), "", error.reason)
        spending.add(model.name, answer)
        try:
            await self._ledger.add(context.tenant, model.name, answer, context.spender)
        except RetryableError as error:
            # The person's turn goes on; the operator sees that a cap may be passed by this much.
            log.error("usage not counted", code=error.code, model=model.name, cost=str(answer.cost))  # noqa: TRY400 - no defect of ours
        reading = read_answer(answer.message, self._toolbox, context)
        return judge(reading, builtin, agreement=self._settings.agreement)


def _names(step: PlannerStep) -> frozenset[str]:
    return frozenset(call.name for call in step.calls)
