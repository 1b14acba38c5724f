"""Options that several commands share, and how they read times and durations: `2h`, `15d`, `2026-11-20`, `2026-11-20T10:00+01:00`."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ferroflux.http_client import ApiClient, api_key, locate
from runtime.clock import SYSTEM_CLOCK
from schemas.errors import InvalidRequestError

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="FERROFLUX_DATA_DIR",
        help="The folder of a running `ferroflux up`. Default: `.ferroflux` here.",
        show_default=False,
    ),
]
UrlOption = Annotated[
    str,
    typer.Option("--url", envvar="FERROFLUX_URL", help="Address of a running ferroflux instead.", show_default=False),
]
KeyOption = Annotated[
    str,
    typer.Option(
        "--api-key", envvar="FERROFLUX_API_KEY", help="Key, where the server asks for one.", show_default=False
    ),
]
InsecureOpenOption = Annotated[
    bool,
    typer.Option(
        "--insecure-open", help="Listen on any address without keys: whoever reaches the port may change everything."
    ),
]
SendToOption = Annotated[
    str, typer.Option(help="Send to the Kafka cluster at HOST:PORT instead of a running `up`.", show_default=False)
]
TopicOption = Annotated[
    str,
    typer.Option(help="With --kafka: the topic. Default: the first of `FERROFLUX_KAFKA__TOPICS`.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table.")]


@dataclass(frozen=True, slots=True)
class Server:
    """The running system that a command asks."""

    url: UrlOption = ""
    data_dir: DataDirOption = None
    key: KeyOption = ""

    def client(self) -> ApiClient:
        """Requests to it.

        Raises:
            ConfigurationError: nothing names one.
        """
        return ApiClient(locate(self.url, self.data_dir), key=api_key(self.key))


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer takes it: a parameter that is a group of options, a dataclass, stands for its members.

    Typer reads a command's options off its signature, so the signature is put together from both.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[Callable[..., object], list[str]]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group: Any = parameter.annotation
        grouped = is_dataclass(group)
        if grouped:
            members = inspect.signature(group, eval_str=True).parameters
            groups[parameter.name] = (group, list(members))
            parameters += [member.replace(kind=inspect.Parameter.KEYWORD_ONLY) for member in members.values()]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, (group, members) in groups.items():
            given[name] = group(**{member: given.pop(member) for member in members})
        command(**given)

    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # how a wrapper tells its signature
    return run


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*([smhd])")


def duration_s(text: str) -> float:
    """Seconds of `90s`, `15m`, `2h` or `3d`.

    Raises:
        InvalidRequestError: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidRequestError(f"{text!r} is no duration: give a number with s, m, h or d, such as 15d")
    return float(match[1]) * _UNITS[match[2]]


def moment_us(text: str, now_us: int | None = None) -> int:
    """Microseconds since 1970 of a duration ago or of an ISO 8601 time; one without a zone is UTC.

    Raises:
        InvalidRequestError: it is neither.
    """
    if _DURATION.fullmatch(text.strip()):
        return (SYSTEM_CLOCK.now_us() if now_us is None else now_us) - int(duration_s(text) * 1e6)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidRequestError(
            f"{text!r} is no time: give 2h (ago), 2026-11-20 or 2026-11-20T10:00+01:00"
        ) from error
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return int(moment.timestamp() * 1e6)


def shown(us: int) -> str:
    """A time for the table, UTC to the second."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S") if us else "-"
