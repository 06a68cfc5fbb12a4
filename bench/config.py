"""Typed, frozen settings whose unknown keys are errors with a suggestion."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from reprlib import Repr
from typing import Any, Self, TypeGuard, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from bench.errors import ConfigError, shortened, suggestion
from bench.strict_yaml import YamlError, load_yaml

_QUOTED = Repr()
"""Quotes a value in a message, shortened."""
_QUOTED.maxstring = _QUOTED.maxlong = _QUOTED.maxother = 120
_QUOTED.maxlevel = 3


class Config(BaseModel):
    """Base of every settings object: immutable, no unknown keys, no NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        # Pydantic takes True as 1, and YAML 1.1 takes the words on and yes as true.
        field = cls.model_fields.get(info.field_name or "")
        values = value if isinstance(value, list | tuple) else [value]
        if field and any(isinstance(entry, bool) for entry in values) and _numbers_only(field):
            raise ValueError("a number is expected, not true or false (yes and on mean true)")
        return value

    @field_validator("name", mode="before", check_fields=False)
    @classmethod
    def _a_number_is_a_name(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def resolved(self, cache: Path | None = None) -> Self:
        """Fill in settings that depend on this machine's files, such as a hash of weights.

        An experiment's key is made of resolved settings. By default nothing depends on files.

        Parameters
        ----------
        cache
            The cache's folder, where hashes of large files are remembered; None remembers nothing.

        Raises
        ------
        ConfigError
            A file is missing.
        """
        del cache
        return self

    def check_data(self, dataset: object) -> None:
        """Refuse settings that do not fit a data set, before anything is trained on it.

        Parameters
        ----------
        dataset
            What is known of the data set when an experiment is planned, usually the whole
            :class:`bench.data.dataset.Dataset`.

        Raises
        ------
        BenchError
            They do not fit.
        """
        del dataset

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Check plain data against the fields of this class.

        Parameters
        ----------
        values
            Plain data, for example from YAML.
        where
            Named in the error message: a file, a flag.

        Raises
        ------
        ConfigError
            A key is unknown or a value does not fit; the message names the first such key.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigError(_explain(cls, error, where)) from None


def _a_date(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("write a date such as 2014-07-31, or a number")
    if not isinstance(value, str):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("write a date such as 2014-07-31, or a number") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


DATE = BeforeValidator(_a_date)
"""Reads the text of an ISO 8601 date, in UTC where it names no zone; leaves numbers as they are."""


def _numbers_only(field: FieldInfo) -> bool:
    kinds = _kinds(field.annotation)
    return bool(kinds & {int, float}) and not kinds & {bool, datetime, Any}


def _kinds(annotation: Any) -> set[Any]:
    return {annotation}.union(*map(_kinds, get_args(annotation)))


def _explain(schema: type[BaseModel], error: ValidationError, where: str) -> str:
    # A misspelt key is also a missing one: say the former.
    first = min(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
    path = [shortened(str(part), 80) for part in first["loc"]]
    key = ".".join(path) or "the whole"
    if first["type"] == "extra_forbidden":
        known = _fields_at(schema, path[:-1])
        return f"{where}: unknown key '{key}'{suggestion(path[-1], known)}"
    if first["type"] == "missing":
        return f"{where}: key '{key}' is missing; add it"
    if first["type"] == "tuple_type":
        return f"{where}: key '{key}' must be a list; write each entry behind '- '"
    shown = _QUOTED.repr(first["input"])
    if first["type"] == "string_type" and isinstance(first["input"], bool | int | float):
        return f"{where}: key '{key}' = {shown}: text is expected; put it in quotes"
    message = shortened(first["msg"].removeprefix("Value error, "))
    return f"{where}: key '{key}' = {shown}: {message[0].lower()}{message[1:]}"


def _fields_at(schema: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = schema.model_fields.get(part)  # None for a place in a list or a key of a mapping
        if field is not None:
            kinds = (field.annotation, *get_args(field.annotation))
            schema = next((kind for kind in kinds if _is_model(kind)), schema)
    return list(schema.model_fields)


def _is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def parse_value(text: str, where: str) -> Any:
    """Read the YAML value of a setting; raise a ConfigError that begins with ``where``."""
    try:
        return load_yaml(text)
    except YamlError as error:
        raise ConfigError(f"{where}: {error}; correct the value") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raise a ConfigError that says what is wrong if the file is none."""
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; check the path") from None
    except IsADirectoryError:
        raise ConfigError(
            f"{path} is a folder, not a YAML file; give the path of the file in it"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; check the path") from None
    except YamlError as error:
        place = f"{path}, line {error.line}" if error.line else str(path)
        raise ConfigError(f"{place}: {error}; correct the YAML") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold 'key: value' lines; docs/quickstart.md has an example")
    return {str(key): value for key, value in content.items()}
