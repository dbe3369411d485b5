"""The noise of a layer as a sparse Pauli-Lindblad channel (arXiv:2201.09866), learned or given.

A channel is a list of Paulis, its generators, each with a rate: ``exp(sum_k rate_k (P_k . P_k - 1))``. It acts just
before the gates of its layer. Rates come with their covariance in factor form, see `kernels.statistics`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from qiskit.quantum_info import PauliLindbladMap

from ..circuits.layers import Layer
from ..errors import InputError, Problem
from ..kernels.statistics import Deviations
from .layer_records import (
    LETTERS,
    check_model,
    is_plain,
    label,
    located,
    plain_data,
    read_codes,
    read_deviations,
    read_fields,
    read_layer,
    read_rates,
    written_layer,
)

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]


@frozen(eq=False)
class LayerModel:
    """The Pauli-Lindblad noise of one layer.

    Attributes:
        layer: The layer; the noise acts just before its gates.
        generators: Pauli codes, one column for each of ``layer.qubits``, uint8 ``(K, n)``.
        rates: Rate of each generator for one run of the layer, not negative, float64 ``(K,)``.
        deviations: How well the rates are known; no rows where they are exact.
        quality: How well the noise fits this form, plain data.
        source: What errs, where several results share it: the requirement it was learned for, or a name.
    """

    layer: Layer
    generators: Codes
    rates: Floats
    deviations: Deviations
    quality: Mapping[str, Any] = field(factory=dict)
    source: Hashable = None

    @classmethod
    def of(
        cls, layer: Layer, generators: Codes | Sequence[str], rates: Sequence[float] | Floats, name: Hashable
    ) -> Self:
        """Return a model that is known exactly.

        Args:
            layer: The layer.
            generators: Codes ``(K, n)`` in the order of ``layer.qubits``, or labels such as ``X0 Z1``.
            rates: Rate of each.
            name: The source of the model.

        Raises:
            InputError: Naming everything that is wrong with generators and rates.
        """
        problems: list[Problem] = []
        codes = read_codes(layer, generators, problems)
        values = read_rates(rates, problems)
        if not problems:
            check_model(layer, codes, values, problems)
        InputError.check(located(problems, layer))
        exact = Deviations(np.zeros((0, len(values))), np.inf, name)
        return cls(layer, codes, values, exact, {}, name)

    @classmethod
    def of_map(cls, layer: Layer, channel: PauliLindbladMap, name: Hashable = "PauliLindbladMap") -> Self:
        """Return Qiskit's form of such a channel as a model that is known exactly.

        Args:
            layer: The layer.
            channel: On as many qubits as the layer has, in their ascending order, or on those of the whole device.
            name: The source of the model.

        Raises:
            InputError: It acts on other qubits, or a rate is negative or not finite.
        """
        qubits, width = layer.qubits, int(channel.num_qubits)
        compact = width == len(qubits)
        if not compact and width <= max(qubits, default=-1):
            rule = f"acts on {width} qubits, the layer on {len(qubits)}: {layer.describe()}"
            raise InputError.of([Problem("PauliLindbladMap", rule, "give one on the qubits of the layer")])
        labels, rates = [], []
        for letters, places, rate in channel.simplify().to_sparse_list():
            own = [qubits[i] for i in places] if compact else places
            if len(places):
                labels.append(" ".join(f"{letter}{q}" for letter, q in zip(letters, own, strict=True)))
                rates.append(rate)
        return cls.of(layer, labels, rates, name)

    @property
    def labels(self) -> tuple[str, ...]:
        """The generators with the qubits they act on, such as ``X0 Z1``."""
        qubits = self.layer.qubits
        return tuple(label(codes, qubits) for codes in self.generators)

    @property
    def gamma(self) -> float:
        """Overhead of cancelling the noise: the sum of the sizes of quasi-probabilities."""
        return math.exp(2 * float(self.rates.sum()))

    @property
    def stds(self) -> Floats:
        """Standard errors of the rates, float64 ``(K,)``."""
        stds: Floats = np.sqrt(self.deviations.variance)
        return stds

    def restricted(self, layer: Layer) -> LayerModel:
        """Return the noise as qubits of a layer see it that fewer qubits wait in.

        Generators are cut to these qubits, and those that become equal are added up. This is exact.

        Raises:
            InputError: The layer has other gates, or qubits that are not known here.
        """
        if layer == self.layer:
            return self
        if not self.layer.covers(layer):
            rule = f"is for another layer ({self.layer.describe()}) than {layer.describe()}"
            raise InputError.of([Problem("noise model", rule, "learn the noise of this layer")])
        kept = np.searchsorted(self.layer.qubits, layer.qubits)
        cut = self.generators[:, kept]
        acting = np.flatnonzero(cut.any(axis=1))
        # First come, first kept, so that the order of generators stays.
        _, first, group = np.unique(cut[acting], axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.argsort(order)[group.ravel()]
        adding = np.zeros((len(self.rates), len(order)))
        adding[acting, place] = 1.0
        return evolve(
            self,
            layer=layer if layer.operations else evolve(layer, operations=self.layer.operations),
            generators=cut[acting][np.sort(first)],
            rates=self.rates @ adding,
            deviations=evolve(self.deviations, rows=self.deviations.rows @ adding),
        )

    def pauli_lindblad_map(self, num_qubits: int | None = None) -> PauliLindbladMap:
        """Return the channel as Qiskit's own.

        Args:
            num_qubits: Width of the device, to act on its qubits; on those of the layer alone by default, in
                ascending order.
        """
        qubits = self.layer.qubits
        places = range(len(qubits)) if num_qubits is None else qubits
        terms = []
        for codes, rate in zip(self.generators, self.rates, strict=True):
            support = np.flatnonzero(codes)
            letters = "".join(LETTERS[codes[i]] for i in support)
            terms.append((letters, [places[i] for i in support], float(rate)))
        return PauliLindbladMap.from_sparse_list(terms, len(qubits) if num_qubits is None else num_qubits)

    def to_dict(self) -> dict[str, Any]:
        """Return the model as plain data for JSON."""
        dof = float(self.deviations.dof)
        data = {
            "layer": written_layer(self.layer),
            "generators": list(self.labels),
            "rates": self.rates.tolist(),
            "deviations": {
                "rows": self.deviations.rows.tolist(),
                "dof": None if math.isinf(dof) else dof,
            },
            "quality": plain_data(self.quality),
        }
        # What errs together must still be known as the same when it is read again.
        source = self.source
        if not isinstance(source, str):
            text = json.dumps([data["layer"], data["rates"], data["deviations"]], sort_keys=True)
            source = f"layer noise {hashlib.sha256(text.encode()).hexdigest()[:16]}"
        return {**data, "source": source}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Return a model from plain data, as `to_dict` makes it.

        Raises:
            InputError: Naming everything that is wrong with it.
        """
        problems: list[Problem] = []
        parts = read_fields(
            data, "model", ("layer", "generators", "rates", "deviations", "quality", "source"), problems
        )
        InputError.check(problems)
        layer = read_layer(parts.get("layer"), problems)
        values = read_rates(parts.get("rates"), problems)
        codes = np.zeros((0, 0), dtype=np.uint8)
        if layer is not None:
            codes = read_codes(layer, parts.get("generators"), problems)
        rows, dof = read_deviations(parts.get("deviations"), len(codes) or len(values), problems)
        quality, source = parts.get("quality"), parts.get("source")
        if not isinstance(quality, Mapping) or not is_plain(quality):
            problems.append(Problem("quality", "must be a table of finite numbers and text"))
        if not isinstance(source, str):
            problems.append(Problem("source", f"must be text, got {source!r:.40}"))
        if layer is not None and not problems:
            check_model(layer, codes, values, problems)
        InputError.check(located(problems, layer))
        assert layer is not None
        assert isinstance(quality, Mapping)
        deviations = Deviations(rows, dof, source)
        return cls(layer, codes, values, deviations, dict(quality), source)
