"""The cascade behind the planner port: the cheap model, a strong one where its answer is rejected, the built-in planner when both fail.

It never fails: whatever happens to models, the built-in planner's step is there, and `degraded` says why it was taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Protocol

import structlog

from agent.planners.model import BoundModel, ModelAnswer, ModelFailedError, messages_of
from agent.planners.reading import BuiltinReading, Reading, follows, judge, read_answer
from agent.ports import Planner, PlannerStep, TurnContext
from agent.settings import PlannerSettings
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import RetryableError
from schemas.identity import TenantId

log = structlog.get_logger(__name__)

NAME: Final = "llm"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a tenant's models have used so far today, and what all models have for one address."""

    tokens: int = 0
    cost: Decimal = Decimal(0)
    address_tokens: int = 0

    def is_below_caps(self, settings: PlannerSettings) -> bool:
        """Whether another call may be made. Calls under way at the same moment can pass a cap by their own size."""
        if settings.daily_tokens is not None and self.tokens >= settings.daily_tokens:
            return False
        cap = settings.daily_tokens_per_address
        if cap is not None and self.address_tokens >= cap:
            return False
        return settings.daily_cost is None or self.cost < settings.daily_cost


class UsageLedger(Protocol):
    """Where usage is added up, over all workers."""

    async def spent(self, tenant: TenantId, spender: str = "") -> Spent:
        """What the tenant has used today, and what stands for an address (`TurnContext.spender`), of any tenant.

        Raises:
            RetryableError: it cannot be told.
        """
        ...

    async def add(self, tenant: TenantId, model: str, answer: ModelAnswer, spender: str = "") -> None:
        """Add one answer.

        Raises:
            RetryableError: it was not added.
        """
        ...


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
        models: Sequence[BoundModel],
        builtin: Planner,
        ledger: UsageLedger,
        settings: PlannerSettings,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._models = tuple(models)
        self._builtin = builtin
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._rests_until: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The name in replies and metrics; a step of the built-in planner says so itself."""
        return NAME

    @property
    def reads_hints(self) -> bool:
        """Models are told words of the catalogue."""
        return bool(self._models)

    async def plan(self, context: TurnContext) -> PlannerStep:
        """The first answer that is not rejected, or the built-in planner's step."""
        builtin = await self._read(context)
        spending = _Spending()
        rejection = await self._refusal(context)
        for model in () if rejection else self._models:
            reading = await self._ask(model, builtin, context, spending)
            if not reading.rejection:
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
            rejection = reading.rejection
        return replace(
            builtin.step,
            planner=builtin.step.planner or self._builtin.name,
            model=spending.model,
            input_tokens=spending.input_tokens,
            output_tokens=spending.output_tokens,
            cost=spending.cost,
            degraded=rejection or "not_configured",
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
        return "" if spent.is_below_caps(self._settings) else "budget"

    async def _ask(
        self, model: BoundModel, builtin: BuiltinReading, context: TurnContext, spending: _Spending
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
        reading = read_answer(answer.message, context)
        return judge(reading, builtin, agreement=self._settings.agreement)


def _names(step: PlannerStep) -> frozenset[str]:
    return frozenset(call.name for call in step.calls)
