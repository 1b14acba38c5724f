"""The entry point of `ferroflux`: the root command, and how a failure is told."""

import os
import sys
from types import TracebackType
from typing import Annotated, Final

import typer

from ferroflux.cli.registry import LazyGroup
from runtime.observability.redaction import known_secrets, redacted, without
from schemas.errors import ConfigurationError, FerrofluxError, InvalidMappingError, RetryableError

EXIT_FAILED: Final = 1
EXIT_TRY_AGAIN: Final = 75
"""As EX_TEMPFAIL of sysexits.h: something that we depend on was away; the same command may succeed later."""
EXIT_CONFIGURATION: Final = 78
"""As EX_CONFIG: a setting or an argument names something that cannot be."""

DEBUG_VARIABLE: Final = "FERROFLUX_DEBUG"

app = typer.Typer(
    name="ferroflux",
    cls=LazyGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def root(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=DEBUG_VARIABLE, help="Show the full traceback of a failure.")
    ] = False,
) -> None:
    """Streaming catalogue search: a warehouse change is searchable in under a second.

    Start with `ferroflux up`, then `ferroflux search "tornillo 1/4"`.
    """
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a failure of ours is one sentence on standard error and an exit code."""
    command = typer.main.get_command(app)
    sys.excepthook = _tell_crash
    try:
        command.main(args=arguments, prog_name="ferroflux")
    except FerrofluxError as error:
        _fail(str(error), _exit_code(error))
    except ValueError as error:
        # pydantic's ValidationError is a ValueError; settings come from the environment, so it is the user's to mend.
        if not hasattr(error, "errors"):
            raise
        _fail(settings_sentence(error), EXIT_CONFIGURATION)


def settings_sentence(error: ValueError) -> str:
    """A pydantic validation error as a sentence that names the variables."""
    problems = [
        f"FERROFLUX_{'__'.join(str(part).upper() for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)  # type: ignore[attr-defined]  # checked by the caller
    ]
    return f"a setting is not valid: {'; '.join(problems[:3])}"


def _exit_code(error: FerrofluxError) -> int:
    if isinstance(error, ConfigurationError | InvalidMappingError):
        return EXIT_CONFIGURATION
    return EXIT_TRY_AGAIN if isinstance(error, RetryableError) else EXIT_FAILED


def _fail(sentence: str, code: int) -> None:
    if os.environ.get(DEBUG_VARIABLE):
        _tell_crash(*sys.exc_info())
    print(f"ferroflux: {plain(sentence)}", file=sys.stderr)
    sys.exit(code)


def plain(text: str) -> str:
    """A text that goes to a terminal or a log collector, without secrets: those of this process's environment above all."""
    return redacted(without(known_secrets(os.environ), text))


def _tell_crash(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
    """A traceback without local variables, and without the secrets that an error's own words may quote."""
    import traceback  # noqa: PLC0415 - only a debugging user and a defect pay for it

    print(plain("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


if __name__ == "__main__":
    main()
