"""Conditions: boto3's `Attr("a").eq(1)` as DynamoDB's expression, with the names and values that it refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder

from halocline.errors import BadQuery


@dataclass(frozen=True, slots=True)
class Expressed:
    """An expression, its names (`#n0`), and its values (`:v0`) as Python values."""

    text: str
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)


def expressed(condition: object) -> Expressed:
    """The expression that a condition of boto3's means; a text is one already.

    Raises: BadQuery for anything else.
    Source: "DynamoDB customization reference", https://docs.aws.amazon.com/boto3/latest/reference/customizations/dynamodb.html
    """
    if isinstance(condition, str):
        return Expressed(condition)
    if not isinstance(condition, ConditionBase):
        hint = 'Give a text such as "#a = :a", or a condition such as Attr("a").eq(1).'
        raise BadQuery("Reading a condition", f"{type(condition).__name__} is none", hint=hint)
    built = ConditionExpressionBuilder().build_expression(condition)
    return Expressed(built.condition_expression, built.attribute_name_placeholders, built.attribute_value_placeholders)
