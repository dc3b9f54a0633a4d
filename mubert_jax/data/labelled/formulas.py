"""Cells that hold a formula whose result was never saved with the workbook."""

import ast
import operator
import re

from mubert_jax.data.labelled.grid import Unsolved

_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d+)")
_SUM = re.compile(r"SUM\(([^():]+)\)")
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def solved(sheet, formula: object) -> float | str | Unsolved:
    """The result of a formula that is a sum or names a cell, `Unsolved` where it is another.

    A program that writes a workbook without calculating it leaves no results in it.

    Args:
      sheet: of openpyxl, with formulas in its cells.
      formula: such as "=A1+B1-1".
    """
    value = _value(sheet, formula, depth=8)
    if isinstance(formula, str) and (match := _REFERENCE.fullmatch(formula[1:])):
        named = sheet[match[1] + match[2]].value
        if isinstance(named, str) and not named.startswith("="):
            return named
    return Unsolved(str(getattr(formula, "text", formula))) if value is None else value


def _value(sheet, cell: object, depth: int) -> float | None:
    if not isinstance(cell, str) or not cell.startswith("="):
        return cell if isinstance(cell, int | float) else None
    if depth == 0:
        return None

    def referred(match: re.Match) -> str:
        value = _value(sheet, sheet[match[1] + match[2]].value, depth - 1)
        return "x" if value is None else f"({value})"

    plain = _SUM.sub(lambda m: f"({m[1].replace(',', '+')})", cell[1:].upper())
    try:
        return _calculate(ast.parse(_REFERENCE.sub(referred, plain), mode="eval").body)
    except (SyntaxError, TypeError, ValueError, ZeroDivisionError):
        return None


def _calculate(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_calculate(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_calculate(node.left), _calculate(node.right))
    raise ValueError
