"""Gaussian mixtures over a node's samples: expectation maximisation, scores, failure probabilities."""

from __future__ import annotations

import math
from typing import Any

from quorate._arrays import Given, Made
from quorate._ffi import Handle, bytes_at, ffi, lib
from quorate.errors import ArgumentError


class GaussianMixture:
    """As scikit-learn's GaussianMixture, whose log-likelihoods it gives to 1e-9 from the same initial
    parameters.

    `covariance`: "full" or "diag". Samples are rows (an array of shape n x dimensions, or flat).
    """

    def __init__(self, components: int, dimensions: int, covariance: str = "full") -> None:
        if covariance not in ("full", "diag"):
            raise ArgumentError(f"covariance is 'full' or 'diag', not {covariance!r}")
        make, free = lib.qrt_mixture_new, lib.qrt_mixture_free
        sizes = (max(0, components), max(0, dimensions))
        self._handle = Handle.make("mixture", free, make, *sizes, covariance == "diag")
        self.components, self.dimensions, self.covariance = components, dimensions, covariance

    def __enter__(self) -> GaussianMixture:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the mixture; again is harmless."""
        self._handle.close()

    def _rows(self, samples: Any) -> tuple[Given, int]:
        given = Given(samples, "d")
        if given.count % self.dimensions or (len(given.shape) > 1 and given.shape[-1] != self.dimensions):
            raise ArgumentError(
                f"samples have {self.dimensions} dimensions each, and these are of shape {given.shape}"
            )
        return given, given.count // self.dimensions

    def _block(self) -> int:
        return self.dimensions if self.covariance == "diag" else self.dimensions**2

    def set(self, weights: Any, means: Any, covariances: Any) -> None:
        """Sets the parameters (k; k x d; k x d x d, or k x d): where a fit begins. Raises RangeError when
        singular."""
        w, m, c = Given(weights, "d"), Given(means, "d"), Given(covariances, "d")
        wanted = (self.components, self.components * self.dimensions, self.components * self._block())
        if (w.count, m.count, c.count) != wanted:
            raise ArgumentError(
                f"weights, means and covariances hold {wanted} numbers, not {(w.count, m.count, c.count)}"
            )
        self._handle.call(lib.qrt_mixture_set, w.pointer, m.pointer, c.pointer)

    def fit(
        self,
        samples: Any,
        *,
        regularisation: float = 1e-6,
        tolerance: float = 1e-3,
        iterations: int = 100,
        seed: int = 0,
    ) -> GaussianMixture:
        """Expectation maximisation, from the present parameters if there are any, else from k-means."""
        given, count = self._rows(samples)
        self._handle.call(
            lib.qrt_mixture_fit,
            given.pointer,
            count,
            float(regularisation),
            float(tolerance),
            iterations,
            seed,
        )
        return self

    def _info(self) -> Any:
        place = ffi.new("qrt_mixture_info *")
        self._handle.call(lib.qrt_mixture_info_get, place)
        return place

    def _array(self, name: str, shape: tuple[int, ...]) -> Any:
        with self._handle.held():  # the numbers are the mixture's until its next fit
            copy = bytes_at(getattr(self._info(), name), 8 * math.prod(shape))
        return memoryview(copy).cast("d", shape=shape) if len(shape) > 1 else memoryview(copy).cast("d")

    @property
    def weights(self) -> Any:
        """A read-only view of k numbers, as they are now."""
        return self._array("weights", (self.components,))

    @property
    def means(self) -> Any:
        """k x d."""
        return self._array("means", (self.components, self.dimensions))

    @property
    def covariances(self) -> Any:
        """k x d x d, or k x d."""
        diagonal = (self.components, self.dimensions)
        shape = diagonal if self.covariance == "diag" else (*diagonal, self.dimensions)
        return self._array("covariances", shape)

    @property
    def log_likelihood(self) -> float:
        """Mean a sample, of the last expectation step of the fit."""
        return float(self._info().log_likelihood)

    @property
    def iterations(self) -> int:
        """How many the last fit took."""
        return int(self._info().iterations)

    @property
    def converged(self) -> bool:
        """Whether the last fit ended because it changed the log-likelihood by less than its tolerance."""
        return bool(self._info().converged)

    def score(self, samples: Any) -> Any:
        """The log-density of each sample: a read-only array. Raises ArgumentError for NaN, naming sample and
        dimension."""
        given, count = self._rows(samples)
        made = Made("d", count)
        self._handle.call(lib.qrt_mixture_score, given.pointer, count, made.pointer)
        return made.result()

    def label(self, component: int, failed: bool = True) -> None:
        """Says of a component that it is what failed nodes look like."""
        self._handle.call(lib.qrt_mixture_label, max(0, component), failed)

    def label_by(self, samples: Any, failed: Any) -> None:
        """Labels components by samples that are known to be failed or not."""
        given, count = self._rows(samples)
        flags = Given([bool(f) for f in failed], "B")
        if flags.count != count:
            raise ArgumentError(f"{count} samples and {flags.count} flags: there must be as many")
        self._handle.call(lib.qrt_mixture_label_by, given.pointer, flags.pointer, count)

    @property
    def failed(self) -> tuple[bool, ...]:
        """The labels."""
        made = ffi.new("uint8_t[]", self.components)
        self._handle.call(lib.qrt_mixture_failed, made)
        return tuple(bool(f) for f in made)

    def failure_probability(self, samples: Any) -> Any:
        """The weighted likelihood of the components labelled failed over that of the mixture, for each
        sample."""
        given, count = self._rows(samples)
        made = Made("d", count)
        self._handle.call(lib.qrt_mixture_failure, given.pointer, count, made.pointer)
        return made.result()
