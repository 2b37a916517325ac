"""A JSON Schema of configs, by which editors complete, explain and check them.

It is made of the signatures that `lightlab.config.check` holds configs against, and says what each place may hold. What
takes the data or several places to see (a monitor that won't be logged, shares that don't add up to 1, a layer that
does not fit) is left to the check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticOmit, core_schema
from torch import nn

from lightlab.config.classes import DATA, FAMILIES, Family
from lightlab.config.sections import CONFIG, OPTIONS, section_signature
from lightlab.data.splits import Split
from lightlab.errors import RegistryError
from lightlab.layers.parameters import Nested
from lightlab.model_spec import GIVEN_TO_HEADS
from lightlab.optim import (
    DEFAULT_OPTIMIZER,
    OPTIMIZERS,
    SCHEDULERS,
    class_signature,
    scheduler_options,
)
from lightlab.registry import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS, Registry
from lightlab.signatures import Code, Parameter, Signature, signature_of
from lightlab.signatures.words import first_sentence, without_markup
from lightlab.specs import INJECTED, find_layer, marks

Schema = dict[str, Any]
#: The dialect of JSON Schema.
DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: The keyword that marks a class of a family, until `_Parts` has put the family's classes there.
FAMILY = "family"


def config_schema() -> Schema:
    """Return a JSON Schema (draft 2020-12) of whole configs, with what plugins bring.

    Example:
        >>> schema = config_schema()
        >>> sorted(schema["properties"])[:3]
        ['checkpoint', 'ckpt_path', 'compile']
        >>> schema["$defs"]["layer.dropout"]["properties"]["rate"]["exclusiveMaximum"]
        1
    """
    parts = _Parts()
    sections = {name: parts.section(name) for name in ("trainer", *OPTIONS)}
    config = parts.mapping(CONFIG, {**sections, "data": parts.family(DATA), "model": parts.model()})
    return {"$schema": DIALECT, "title": "a config of lightlab", **config, "$defs": parts.definitions}


class _Types(GenerateJsonSchema):
    """The types that pydantic checks, as JSON Schema: without what a config can't write, and with marks for classes."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        path = schema.get("metadata", {}).get("reference")
        if path is None:
            return super().default_schema(schema)
        family = next((each for each in FAMILIES if path.rsplit(".", 1)[-1] in each.bases), None)
        if family is None:
            raise PydanticOmit
        return {FAMILY: family.name}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        try:
            return super().nullable_schema(schema)
        except PydanticOmit:
            return {"type": "null"}

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> JsonSchemaValue:
        raise PydanticOmit

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@dataclass(frozen=True)
class _Class:
    """A class that a config can name.

    Attributes:
        signature: what it takes.
        spellings: how it may be called, the short name first.
    """

    signature: Signature
    spellings: tuple[str, ...]


class _Parts:
    """The schemas of a config's parts; those that stand in several places are definitions, and referred to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self.components: dict[Signature, str] = {}

    def define(self, name: str, make: Callable[[], Schema]) -> Schema:
        """Return a reference to a definition, which is made when it is first asked for, and may hold itself."""
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = make()
        return _reference(name)

    # Parameters

    def mapping(self, signature: Signature, places: Mapping[str, Schema] | None = None) -> Schema:
        """Return the schema of a mapping of parameters.

        Args:
            signature: what these are.
            places: the schemas of those whose type does not say all; they may be null where their type says so.
        """
        schema = signature.validator.json_schema(schema_generator=_Types)
        self.definitions |= schema.pop("$defs", {})
        schema.pop("title")
        types = schema.pop("properties")
        schema["properties"] = {
            each.name: _explained(each, self.value(each, types[each.name], (places or {}).get(each.name)))
            for each in signature.parameters
            if each.name in types
        }
        return _described(first_sentence(signature.docstring), schema)

    def value(self, parameter: Parameter, schema: Schema, place: Schema | None) -> Schema:
        """Return the schema of a parameter's value, given that of its type."""
        nested = {Nested.LAYERS: self.layers, Nested.BRANCHES: self.branches, Nested.ACTIVATION: self.activation}
        for mark in marks(parameter.type):
            place = nested[mark]() if isinstance(mark, Nested) else place
        if place is None:
            return self.with_classes(schema)
        return _either([place, {"type": "null"}]) if {"type": "null"} in schema.get("anyOf", ()) else place

    def with_classes(self, schema: Schema) -> Schema:
        """Return the schema of a type with the classes of families where these are marked."""
        if FAMILY in schema:
            return self.family(next(each for each in FAMILIES if each.name == schema[FAMILY]))
        if "items" in schema:
            return {**schema, "items": self.with_classes(schema["items"])}
        if "anyOf" not in schema:
            return {name: value for name, value in schema.items() if name != "format"}
        parts = [self.with_classes(part) for part in schema["anyOf"]]
        if any(part.get("type") == "string" for part in parts):  # a text is one of these, and no name of a class
            objects = {f"#/$defs/{_slug(each)}": _reference(f"{_slug(each)}.class") for each in FAMILIES}
            parts = [objects.get(part.get("$ref", ""), part) for part in parts]
        return {**schema, **_either(parts)}

    # Layers, and what is written as they are

    def layers(self) -> Schema:
        """Return the schema of a list of layers."""
        return self.define("layers", lambda: {"type": "array", "items": self.layer()})

    def branches(self) -> Schema:
        """Return the schema of lists of layers side by side."""
        return {"type": "array", "items": self.layers()}

    def layer(self) -> Schema:
        """Return the schema of one layer."""
        found = ((name, find_layer(name)) for name in _layer_names())
        return self.define("layer", lambda: self.component("layer", found))

    def activation(self) -> Schema:
        """Return the schema of an activation."""
        return self.define("activation", lambda: self.component("activation", _registered(ACTIVATIONS)))

    def augment(self) -> Schema:
        """Return the schema of a list of augmentations."""
        augmentation = self.define("augmentation", lambda: self.component("augmentation", _registered(AUGMENTATIONS)))
        return {"type": "array", "items": augmentation}

    def component(self, kind: str, found: Iterable[tuple[str, Callable[..., Any]]]) -> Schema:
        """Return the schema of ``name``, ``{name: value}`` or ``{name: {parameter: value}}``."""
        signatures = {name: signature_of(item, INJECTED) for name, item in found}
        alone = [name for name, signature in signatures.items() if not _required(signature)]
        named = {name: self.parameters(f"{kind}.{name}", signature) for name, signature in signatures.items()}
        one = {"type": "object", "properties": named, "additionalProperties": False}
        return _either([_one_of(alone), {**one, "minProperties": 1, "maxProperties": 1}])

    def parameters(self, name: str, signature: Signature) -> Schema:
        """Return the schema of what stands behind a component's name: parameters, or the first one's value."""
        name = self.components.setdefault(signature, name)  # an activation is a layer, too
        reference = self.define(name, lambda: _may_be_null(self.mapping(signature)))
        first = next(iter(self.definitions[name].get("properties", ())), None)
        if first is None or first != signature.names[0] or set(_required(signature)) - {first}:
            return reference
        lone = _reference(f"{name}/properties/{first}")
        if "type" not in self.definitions[name]["properties"][first]:
            lone["not"] = {"type": ["object", "null"]}
        return _either([reference, lone])

    # Classes

    def family(self, family: Family) -> Schema:
        """Return the schema of a class of a family: its name, or a mapping with ``class_path``."""

        def make() -> Schema:
            found = list(_classes(family))
            places = {"augment": self.augment(), "split": self.split()} if family is DATA else {}
            mapping = self.define(
                f"{slug}.class", lambda: {**self.class_path(slug, found, places), "required": ["class_path"]}
            )
            return _either([_one_of(_alone(found)), mapping])

        slug = _slug(family)
        return self.define(slug, make)

    def class_path(
        self, kind: str, found: list[_Class], places: Mapping[str, Schema], beside: Mapping[str, Schema] | None = None
    ) -> Schema:
        """Return the schema of a mapping with ``class_path``, and the arguments of each class.

        Args:
            kind: what the classes are.
            found: those that there are.
            places: as in `mapping`.
            beside: what may stand in the mapping, and is no argument.
        """
        spellings = sorted((name for each in found for name in each.spellings), key=lambda name: "." in name)
        properties = {"class_path": {"enum": spellings}, "init_args": {}, **(beside or {})}
        cases = []
        for each in found:
            name = f"{kind}.{each.signature.name}"
            case = self.define(name, partial(self.arguments, name, each.signature, places, properties))
            cases.append(_when("class_path", each.spellings, case))
        return {"type": "object", "properties": properties, "allOf": cases}

    def arguments(self, name: str, signature: Signature, places: Mapping[str, Schema], beside: Iterable[str]) -> Schema:
        """Return the schema of a class's arguments: in ``init_args``, or beside these."""
        mapping = _may_be_null(self.mapping(signature, places))
        required = mapping.pop("required", [])
        inside = f"{name}/properties/init_args/properties"
        schema: Schema = {
            "properties": {
                **{each: _reference(f"{inside}/{each}") for each in mapping["properties"]},
                **dict.fromkeys(beside, True),
                "init_args": mapping,
            },
            "additionalProperties": mapping["additionalProperties"],
        }
        if required:
            schema["allOf"] = [_required_in_either(each) for each in required]
        return _described(mapping.pop("description", ""), schema)

    # Sections

    def section(self, name: str) -> Schema:
        """Return the schema of a section that its signature says all of."""
        return self.define(name, lambda: self.mapping(section_signature(name)))

    def split(self) -> Schema:
        """Return the schema of how rows are shared out."""
        mapping = self.define("split", lambda: self.mapping(signature_of(Split)))
        return _either([mapping, _reference("split/properties/shares")])

    def model(self) -> Schema:
        """Return the schema of ``model``; which options the head has is told by the problem."""

        def make() -> Schema:
            problems = [name for name in PROBLEMS.names() if name in HEADS]
            places = {"problem": _one_of(problems), "layers": self.layers(), "head": {"type": "object"}}
            places |= {"optimizer": self.optimizer(), "lr_scheduler": self.scheduler()}
            cases = [_when("problem", [name], self.head(name)) for name in problems]
            return {**self.mapping(section_signature("model"), places), "allOf": cases}

        return self.define("model", make)

    def head(self, problem: str) -> Schema:
        """Return the schema of a model of one problem."""
        signature = signature_of(HEADS.get(problem), GIVEN_TO_HEADS)
        options = self.define(f"head.{problem}", lambda: _may_be_null(self.mapping(signature)))
        return {"properties": {"head": options}, "required": ["head"] if _required(signature) else []}

    def optimizer(self) -> Schema:
        """Return the schema of an optimizer; arguments alone are for the default."""

        def make() -> Schema:
            found = [_Class(class_signature(item), (name, f"torch.optim.{name}")) for name, item in OPTIMIZERS.items()]
            mapping = self.class_path("optimizer", found, {})
            mapping["allOf"].append(_without_class_path(_reference(f"optimizer.{DEFAULT_OPTIMIZER}")))
            return _either([_one_of(_alone(found)), {**mapping, "minProperties": 1}])

        return self.define("optimizer", make)

    def scheduler(self) -> Schema:
        """Return the schema of a learning-rate schedule; a warm-up alone is one, too."""

        def make() -> Schema:
            found = [
                _Class(
                    class_signature(item),
                    (name, *(f"{home}.{name}" for home in ("lr_scheduler", "torch.optim.lr_scheduler"))),
                )
                for name, item in SCHEDULERS.items()
            ]
            beside = self.mapping(signature_of(scheduler_options))["properties"]
            mapping = self.class_path("lr_scheduler", found, {}, beside)
            warmup = {"properties": {**dict.fromkeys(beside, True), "warmup": {"minimum": 1}}, "required": ["warmup"]}
            mapping["allOf"].append(_without_class_path({**warmup, "additionalProperties": False}))
            return _either([_one_of(_alone(found)), mapping])

        return self.define("lr_scheduler", make)


def _layer_names() -> Iterator[str]:
    """Return the names of all layers, those of torch.nn last."""
    yield from LAYERS.names()
    for name in vars(nn):
        with suppress(RegistryError):
            find_layer(f"nn.{name}")
            yield f"nn.{name}"


def _registered(registry: Registry[Any]) -> Iterator[tuple[str, Any]]:
    return ((name, registry.get(name)) for name in registry.names())


def _classes(family: Family) -> Iterator[_Class]:
    for name, path in family.names().items():
        signature = family.find(name, ())
        yield _Class(signature, tuple(dict.fromkeys((name, path, signature.path))))


def _required(signature: Signature) -> list[str]:
    return [each.name for each in signature.parameters if each.required]


def _alone(found: Iterable[_Class]) -> list[str]:
    """Return the names of the classes that need no arguments."""
    return [name for each in found if not _required(each.signature) for name in each.spellings]


def _slug(family: Family) -> str:
    return family.name.replace(" ", "_")


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _one_of(names: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(names)}


def _either(schemas: Iterable[Schema]) -> Schema:
    """Return the schema of what fits one of several, each named once."""
    several = list({json.dumps(each): each for each in schemas}.values())
    return several[0] if len(several) == 1 else {"anyOf": several}


def _when(name: str, values: Iterable[str], then: Schema) -> Schema:
    """Return the schema that holds where a key has one of some values."""
    return {"if": {"properties": {name: {"enum": list(values)}}, "required": [name]}, "then": then}


def _without_class_path(then: Schema) -> Schema:
    return {"if": {"not": {"required": ["class_path"]}}, "then": then}


def _required_in_either(name: str) -> Schema:
    """Return the schema by which an argument stands in ``init_args`` unless it stands beside them."""
    inside = {"type": "object", "required": [name]}
    then = {"required": ["init_args"], "properties": {"init_args": inside}}
    return {"if": {"not": {"required": [name]}}, "then": then}


def _may_be_null(mapping: Schema) -> Schema:
    """Return the schema of a mapping that is as good as empty where it is null."""
    return mapping if mapping.get("required") else {**mapping, "type": ["object", "null"]}


def _described(text: str, schema: Schema) -> Schema:
    return {"description": text, **schema} if text else schema


def _explained(parameter: Parameter, schema: Schema) -> Schema:
    """Return a parameter's schema with what its docstring says, and with its default, if that can be written."""
    explained = _described(without_markup(parameter.description), schema)
    if parameter.required or parameter.default is None or isinstance(parameter.default, Code):
        return explained
    try:
        return {**explained, "default": json.loads(json.dumps(parameter.default, allow_nan=False))}
    except (TypeError, ValueError):
        return explained
