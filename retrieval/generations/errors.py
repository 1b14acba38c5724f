"""What is refused about generations."""

from schemas.errors import ConfigurationError, FerrofluxError


class GenerationRefusedError(FerrofluxError):
    """This cannot be done to that generation now. `ferroflux generation status` shows where each stands; the message says the remedy."""

    code = "generation_refused"


class GateFailedError(GenerationRefusedError):
    """The gate does not let the generation through. Mend what the message names, or overrule it with --force and a reason."""

    code = "gate_failed"


class PointerMovedError(GenerationRefusedError):
    """Somebody else moved the pointer since this was decided. Look at `ferroflux generation status`, compare again, then decide again."""

    code = "pointer_moved"


class GenerationUnfitError(ConfigurationError):
    """This version or configuration cannot serve the generation. Run the version that built it, or build one with this version."""

    code = "generation_unfit"
