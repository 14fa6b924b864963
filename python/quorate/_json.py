"""Plain data as JSON and back, with errors of ours."""

from __future__ import annotations

import json
from typing import Any

from quorate.errors import ParseError, RangeError, WrongTypeError


def written(data: Any) -> str:
    """Data as JSON text; NumPy's numbers are numbers."""
    try:
        return json.dumps(data, default=_number, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise WrongTypeError(f"that cannot be written as JSON: {error}") from None
    except ValueError:  # of allow_nan, or of a list that holds itself
        raise RangeError(f"nan, inf and what holds itself are no JSON: {data!r:.200}") from None


def _number(value: Any) -> int | float:
    if not isinstance(value, type) and hasattr(value, "__index__"):
        return int(value)
    if not isinstance(value, type) and hasattr(value, "__float__"):
        return float(value)
    raise WrongTypeError(
        f"{value!r:.60} ({type(value).__name__}) is neither a number nor text, a list or a mapping"
    )


def read(text: str | bytes) -> Any:
    """JSON text as data. Raises ParseError with line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ParseError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"that is no JSON: {error}") from None
