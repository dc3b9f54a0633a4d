"""Small changes to a module's source, each of which some test should notice.

Cosmic Ray's operators make them; of the replacements of one operator sign only the likeliest slip
is taken (+ for -, * for /, < for <=, ...), so that hard and easy places count alike.
"""

import ast
from dataclasses import dataclass

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

OPERATORS = (
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Mod_Mul",
    "ReplaceBinaryOperator_Pow_Mul",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Invert_UAdd",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "NumberReplacer",
    "ZeroIterationForLoop",
)


@dataclass(frozen=True)
class Mutant:
    """One changed line: its number, the class and function around it, as it was and as it is, and
    the whole changed source.
    """

    line: int
    function: str
    was: str
    now: str
    source: str

    def __str__(self):
        return f"line {self.line}, {self.function}: `{self.was}` -> `{self.now}`"

    def is_named(self, name: str) -> bool:
        """Whether `name` is the changed line, with or without `Class.function: ` before it."""
        inner = self.function.rpartition(".")[2]
        return name in (self.now, f"{inner}: {self.now}", f"{self.function}: {self.now}")


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of a module that differs from it in meaning, from its first line to its last."""
    meaning = _meaning(source)
    found = {}
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        positions = sum(
            len(list(operator.mutation_positions(node))) for node in ast_nodes(get_ast(source))
        )
        for occurrence in range(positions):
            mutated = mutate_code(source, operator, occurrence)
            if mutated is not None and _meaning(mutated) not in (None, meaning):
                found.setdefault(mutated, _mutant(source, mutated))
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.now))


def _mutant(source, mutated):
    lines = zip(source.split("\n"), mutated.split("\n"), strict=False)
    number, was, now = next((n, *both) for n, both in enumerate(lines, 1) if both[0] != both[1])
    return Mutant(number, _function(source, number), was.strip(), now.strip(), mutated)


def _function(source, line):
    """The classes and functions that a line is in, outermost first; "module" for none."""
    named = (ast.FunctionDef, ast.ClassDef)
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, named)
        and min(part.lineno for part in (node, *node.decorator_list)) <= line <= node.end_lineno
    ]
    return ".".join(node.name for node in sorted(around, key=lambda n: n.lineno)) or "module"


def _meaning(source):
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return None
