"""OpenQASM files, read with care: they may be written by anybody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.circuit import ControlFlowOp, Gate, Instruction

from ..errors import InputError, MissingDependencyError, Problem

MAX_BYTES: Final = 10 * 2**20
#: Most bits and qubits that a file may declare: they are made whether they are used or not.
MAX_BITS: Final = 10_000
#: Most gates once definitions within definitions are written out.
MAX_GATES: Final = 1_000_000
_MAX_NESTING: Final = 50
_OWN: Final = "qiskit.circuit."
_DECLARED: Final = re.compile(
    r"\b(?:qreg|creg)\s+\w+\s*\[\s*(\d+)\s*\]|\b(?:qubit|bit)\s*\[\s*(\d+)\s*\]|\b(?:u?int|angle|float)\s*\[\s*(\d+)\s*\]"
)


def read_circuit(path: Path) -> QuantumCircuit:
    """Return the circuit of an OpenQASM 2 or 3 file.

    Nothing is included but what Qiskit brings itself.

    Raises:
        InputError: The file cannot be read, is no circuit, or declares more than is reasonable.
        MissingDependencyError: It is OpenQASM 3, and what reads that is not installed.
    """
    where = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError.of(
                [Problem(where, f"is larger than {MAX_BYTES >> 20} MB", "use a smaller file")]
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError.of([Problem(where, f"cannot be read: {reason}")]) from None
    bare = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.S)
    declared = sum(_size(number) for match in _DECLARED.findall(bare) for number in match if number)
    if declared > MAX_BITS:
        rule = f"declares more than {MAX_BITS} qubits and bits"
        raise InputError.of([Problem(where, rule, "declare those that are used")])
    try:
        if re.match(r"\s*OPENQASM\s+3", bare):
            circuit: QuantumCircuit = qasm3.loads(text)
        else:
            custom = qasm2.LEGACY_CUSTOM_INSTRUCTIONS
            circuit = qasm2.loads(text, include_path=(), custom_instructions=custom)
    except ImportError:
        message = f"{path}: OpenQASM 3 needs qiskit_qasm3_import; pip install qiskit_qasm3_import"
        raise MissingDependencyError(message) from None
    except Exception as error:  # parsers raise their own
        raise InputError.of([Problem(where, f"is no circuit: {error}")]) from None
    _check_definitions(circuit, where)
    return circuit


def _size(number: str) -> int:
    # Python refuses to read thousands of digits; nobody declares that many.
    return int(number) if len(number) < 10 else MAX_BITS + 1


def _check_definitions(circuit: QuantumCircuit, where: str) -> None:
    """Refuse definitions that become too many gates, or too deep, before anything writes them out.

    Raises:
        InputError: They do.
    """
    sizes: dict[str, int] = {}

    def size_of(operation: Instruction, depth: int) -> int:
        if depth > _MAX_NESTING:
            rule = f"has gates defined by gates more than {_MAX_NESTING} deep"
            raise InputError.of([Problem(where, rule, "write them out")])
        if isinstance(operation, ControlFlowOp):
            return sum(total(block, depth) for block in operation.blocks)
        # Classes of Qiskit's own have definitions of Qiskit's own, unless they are made for one gate.
        if operation.base_class.__module__.startswith(_OWN) and operation.base_class not in (
            Gate,
            Instruction,
        ):
            return 1
        key = f"{operation.name}/{operation.num_qubits}"
        if key not in sizes:
            definition = operation.definition
            sizes[key] = 1 if definition is None else total(definition, depth + 1)
        return sizes[key]

    def total(body: QuantumCircuit, depth: int) -> int:
        return sum(size_of(instruction.operation, depth) for instruction in body.data)

    if total(circuit, 0) > MAX_GATES:
        rule = f"has more than {MAX_GATES} gates, definitions written out"
        raise InputError.of([Problem(where, rule, "make it smaller")])
