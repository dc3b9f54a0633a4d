"""Cells that hold a formula whose result was never saved with the workbook."""

import ast
import operator
import re
from pathlib import Path

_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d+)")
_SUM = re.compile(r"SUM\(([^():]+)\)")
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Formulas:
    """The formulas of a workbook (.xlsx), worked out where they are sums and the like.

    A program that writes a workbook without calculating it leaves no results in it.
    """

    def __init__(self, path: Path):
        import openpyxl

        self._book = openpyxl.load_workbook(path, data_only=False)

    def fill(self, tables: dict[str, list[list[object]]]) -> None:
        """Puts results into the blank cells of `tables` (rows of cells by name of the sheet).

        A formula of another kind leaves its cell blank.
        """
        for name, table in tables.items():
            sheet = self._book[name]
            for row, line in enumerate(table):
                for column, cell in enumerate(line):
                    formula = sheet.cell(row + 1, column + 1).value if cell == "" else None
                    if isinstance(formula, str) and formula.startswith("="):
                        value = self._value(sheet, formula, depth=8)
                        line[column] = "" if value is None else value

    def _value(self, sheet, cell: object, depth: int) -> float | None:
        if not isinstance(cell, str) or not cell.startswith("="):
            return cell if isinstance(cell, int | float) else None
        if depth == 0:
            return None

        def referred(match: re.Match) -> str:
            value = self._value(sheet, sheet[match[1] + match[2]].value, depth - 1)
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
