"""The typed stubs state what the package has."""

import ast
import inspect
import typing
from pathlib import Path

import pytest

import proxmo

PACKAGE = Path(proxmo.__file__).parent


def declared(stub):
    """The top-level names of a stub with their nodes."""
    tree = ast.parse((PACKAGE / stub).read_text())
    return {
        node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }


def fields(node):
    """The annotated fields of a class with their annotations."""
    return {
        item.target.id: item.annotation for item in node.body if isinstance(item, ast.AnnAssign)
    }


def words(schema):
    """The words that a setting allows."""
    found = set()
    if isinstance(schema.get("const"), str):
        found.add(schema["const"])
    found |= {word for word in schema.get("enum", []) if isinstance(word, str)}
    for alternative in schema.get("anyOf", []) + schema.get("oneOf", []):
        found |= words(alternative)
    return found


def literals(annotation):
    """The words of the `Literal`s in a type."""
    if typing.get_origin(annotation) is typing.Literal:
        return set(typing.get_args(annotation))
    return set().union(*map(literals, typing.get_args(annotation)))


def test_the_settings_are_those_of_the_schema():
    settings = typing.get_type_hints(proxmo.Settings)
    schema = proxmo.Config.schema()["properties"]
    assert set(settings) == set(schema)
    for name, annotation in settings.items():
        assert literals(annotation) == words(schema[name]), name


@pytest.mark.parametrize(("stub", "module"), [("__init__.pyi", proxmo), ("env.pyi", proxmo.env)])
def test_the_members_of_classes_and_the_parameters_of_functions_agree(stub, module):
    for name, node in declared(stub).items():
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            names = [a.arg for a in arguments.args + arguments.kwonlyargs]
            parameters = inspect.signature(getattr(module, name)).parameters
            assert names == [n for n, p in parameters.items() if p.kind != p.VAR_KEYWORD], name
        elif name == "RowCredit":
            assert list(fields(node)) == list(module.RowCredit._fields)
        elif name != "GymEnv":
            existing = getattr(module, name)
            members = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
            assert members and all(hasattr(existing, member) for member in members), name
            public = {m for m in vars(existing) if not m.startswith("_")}
            assert public == {m for m in members if m[0] != "_"}, name


def test_everything_public_has_a_docstring():
    for module in [proxmo, proxmo.env]:
        assert module.__doc__
        for name in module.__all__:
            item = getattr(module, name)
            if callable(item):
                assert item.__doc__, name
                for member, value in vars(item).items() if inspect.isclass(item) else ():
                    if not member.startswith("_"):
                        assert value.__doc__, f"{name}.{member}"
