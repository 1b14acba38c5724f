"""Secrets are never shown: the one function by which a text loses them before it is logged, printed or recorded.

Settings hold secrets as `SecretStr`, which shows as asterisks. What remains are texts that carry one inside: a URL with a
password or a signature, a DSN, a library's error that quotes either. So whoever puts an address into a message or a record
passes it through `redacted`, and every line that is logged goes through it once more (`runtime.observability.logs`), since not every
message is ours.

Rather too much is hidden than too little: of a URL the user and password and the values of all query parameters go,
wherever they stand. Everything takes linear time, since a message may quote what somebody sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:  # the command line reads this before it knows whether it needs settings at all
    from pydantic import BaseModel

HIDDEN: Final = "***"

_SHORTEST_KNOWN: Final = 8
"""Shorter values (`shop`, `none`) also stand in texts that give nothing away."""

_ADDRESS = re.compile(r"""://[^\s"'<>\\\x1b]+""")
_AUTHORITY = re.compile(r"[^/?#]*")
_PARAMETER = re.compile(r"[^&;]+")
_GIVES_ACCESS: Final = (
    r"passw(?:or)?d|pwd|passphrase|secret|credentials?|authorization|signature|"
    r"(?:api|access|account|secret|private|shared|auth|admin)[_-]?(?:access)?[_-]?key|"
    r"(?:access|auth|bearer|refresh|security|session|id|sas|api)[_-]?token|token|sas"
)
_SECRET_NAME = re.compile(
    rf"(?:^|[_.\-\s])(?:{_GIVES_ACCESS})(?:(?<!token)s)?$|^(?:sig|policy)$|^x-(?:amz|goog)-", re.IGNORECASE
)
_ASSIGNED = re.compile(
    rf"""((?<![a-z])(?:{_GIVES_ACCESS})(?:\\?["'])?[ ]?(?:=|(?<=["']):)[ ]?(?:\\?["'])?)((?:(?:Bearer|Basic)[ ])?[^\s"'&,;)}}\\\x1b]+)""",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"""((?<![a-z])(?:authorization|x-api-key|api-key|x-customer-token|cookie):[ ]?)[^\s"'\\][^\r\n"'\\\x1b]*""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(Bearer|Basic)[ ]+[A-Za-z0-9+/=_.~-]{6,}")


def redacted(text: str) -> str:
    """The text without what gives access: passwords in URLs and DSNs, query values, assigned keys, bearer tokens."""
    if "://" in text:
        text = _ADDRESS.sub(lambda found: "://" + _plain_address(found[0][3:]), text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    return _SCHEME.sub(rf"\1 {HIDDEN}", text)


def without_credentials(url: str) -> str:
    """A URL as it may stand in a record that others read: without user, password, signature and keys. A plain path stays.

    Other parameters stay, too: they may say which thing the URL names.
    """
    scheme, sign, rest = url.partition("://")
    if not sign:
        return url
    place, _, query = _split(rest)[1].partition("?")
    kept = "&".join(one for one in query.split("&") if one and not is_secret_name(one.partition("=")[0]))
    return f"{scheme}://{place}{'?' + kept if kept else ''}"


def is_secret_name(name: str) -> bool:
    """Whether a setting, member or variable of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def shown(settings: BaseModel) -> dict[str, Any]:
    """Settings as they may be logged: no secret, no password inside an address."""
    return {name: redacted_value(value, name) for name, value in settings.model_dump(mode="json").items()}


def redacted_value(value: Any, name: str = "") -> Any:
    """A value made of dicts, lists and texts without secrets; `name` is what it is the value of."""
    if isinstance(value, Mapping):
        # Whatever hangs below a secret's name is one: keys by tenant, say.
        below = name if is_secret_name(name) else ""
        return {key: redacted_value(member, below or str(key)) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_value(member, name) for member in value]
    if isinstance(value, str):
        return HIDDEN if value and is_secret_name(name) else redacted(value)
    return value


def known_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that a process was given in its environment, longest first: values of secret names, passwords of URLs.

    They are hidden wherever they turn up, in whatever form a library quotes them.
    """
    found: set[str] = set()
    for name, value in environment.items():
        if is_secret_name(name) and name != "PWD":  # the working directory, in every shell
            found.update(_leaves(value))
        elif value[:1] in "{[" and value:
            found.update(_secret_members(value))
        if "://" in value:
            for address in _ADDRESS.findall(value):
                found.update(_passwords(address[3:]))
    found |= {unquote(one) for one in found}  # a library may quote what it decoded
    return tuple(sorted((one for one in found if len(one) >= _SHORTEST_KNOWN), key=len, reverse=True))


def without(secrets: Iterable[str], text: str) -> str:
    """The text without these secrets."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def _plain_address(rest: str) -> str:
    user, rest = _split(rest)
    place, question, query = rest.partition("?")
    named = _PARAMETER.sub(lambda one: _name_of(one[0]), query)
    return f"{HIDDEN + '@' if user else ''}{place}{question}{named}"


def _name_of(parameter: str) -> str:
    name, sign, _ = parameter.partition("=")
    return f"{name}={HIDDEN}" if sign else HIDDEN


def _split(rest: str) -> tuple[str, str]:
    """What follows `://` as user information and the rest.

    A password that was not encoded may hold `/`, `?` and `#`; then what looks like the host has a port that is no number.
    """
    authority = _AUTHORITY.match(rest)
    assert authority is not None
    start = authority[0]
    port = start.rpartition(":")[2] if not start.endswith("]") else ""
    if "@" in start or (":" in start and not start.startswith("[") and not re.fullmatch(r"[\d,]*", port)):
        user, sign, host = rest.rpartition("@")
        if sign:
            return user, host
        # A quote in the password ended the address before its host; `host:port` in a sentence is none.
        return ("", rest) if port.lower() == "port" else (rest, "")
    return "", rest


def _passwords(rest: str) -> Iterable[str]:
    user, rest = _split(rest)
    yield from filter(None, (user.partition(":")[2],))
    for parameter in rest.partition("?")[2].split("&"):
        name, _, value = parameter.partition("=")
        if is_secret_name(name):
            yield value


def _leaves(value: str) -> Iterable[str]:
    if value[:1] in "{[":
        try:
            yield from _texts(json.loads(value))
        except (ValueError, RecursionError):
            yield value
        else:
            return
    yield value


def _secret_members(value: str) -> Iterable[str]:
    """The texts below members of a JSON value that are named as secrets are."""
    try:
        below = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while below:
        held = below.pop()
        if isinstance(held, dict):
            for name, member in held.items():
                if is_secret_name(name) or name == "key":
                    yield from _texts(member)
                below.append(member)
        elif isinstance(held, list):
            below.extend(held)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _texts(member)
