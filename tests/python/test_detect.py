"""Failure detectors from Python: the vectors, arrays at once, scikit-learn's numbers, errors in words."""

import math

import pytest
import quorate as q

np = pytest.importorskip("numpy")


def test_phi_vectors():
    for t, want in [(0, 0), (500, 0.1), (1000, 0.3), (1200, 1.6), (1400, 4.7), (1600, 10.8), (1700, 15.3)]:
        assert q.phi(t, 1000, 100) == pytest.approx(want, abs=0.1)
    assert q.phi(10, 0, 1) == pytest.approx(38, abs=1)
    assert q.phi(-25, 0, 1) == 0


def test_one_at_a_time_is_all_at_once():
    times = np.cumsum(np.random.default_rng(1).uniform(0.8, 1.2, 500))
    many, one = q.PhiDetector(threshold=8), q.PhiDetector(threshold=8)
    opinions = many.observe_many(times)
    for t, suspicion in zip(times, opinions.suspicion, strict=True):
        assert one.suspicion(t) == suspicion
        one.observe(t)
    now = float(times[-1]) + 1
    assert one.fingerprint(now) == many.fingerprint(now) == q.Detector.load(one.save()).fingerprint(now)
    assert one.suspected(one.deadline + 1e-6) and not one.suspected(one.deadline - 1e-6)
    assert one.window.mean == pytest.approx(1.0, abs=0.05)
    later = one.copy().evaluate_many([now, now + 5])
    assert list(later.suspected) == [False, True]


def test_window_of_the_vector():
    d = q.PhiDetector(window=5, learn_late=True)
    t = 0.0
    d.observe(t)
    for interval in (0.100, 0.200, 0.125, 0.340, 0.130):
        t += interval
        d.observe(t)
    assert (d.window.count, round(d.window.mean * 1e3), round(d.window.variance * 1e6)) == (5, 179, 7584)


def test_other_kinds():
    assert q.TimeoutDetector(interval=0.1, nodes=5).deadline is None
    d = q.TimeoutDetector(interval=0.1, nodes=5)
    d.observe(1)
    assert d.deadline == 1.5
    polling = q.PollingDetector(timeout=0.3)
    polling.ping(0)
    assert polling.suspected(0.3) and not polling.suspected(0.2)
    metric = q.ThresholdDetector(alpha=2, parameter=10, beta=5, hysteresis=3)
    assert list(metric.observe_many(range(5), [24, 25, 23, 22, 24]).suspected) == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_quality_is_the_closed_form():
    rng, sent = np.random.default_rng(5), 400_000
    numbers = np.arange(sent)[rng.random(sent) > 0.01].astype(float)
    times = numbers + rng.exponential(0.02, len(numbers))
    order = np.argsort(times)
    seen = q.measure(q.NfdSDetector(interval=1, shift=1), times[order], numbers[order], end=float(sent))
    theory = q.nfd_quality(1, 1.0, 0.01, 0.02)
    assert theory.recurrence == pytest.approx(101.01, abs=0.005) and theory.accuracy == pytest.approx(
        0.999702, abs=5e-7
    )
    assert seen.recurrence == pytest.approx(theory.recurrence, rel=0.06)
    assert seen.duration == pytest.approx(theory.duration, rel=0.1)
    crashed = q.measure(q.PhiDetector(), np.arange(100.0), end=200, crash=100)
    assert crashed.detected and crashed.mistakes == 0 and 0 < crashed.detection < 5
    assert math.isnan(crashed.recurrence)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_mixture_is_scikit_learns(covariance):
    mixture = pytest.importorskip("sklearn.mixture")
    rng = np.random.default_rng(3)
    samples = np.concatenate([rng.normal(m, s, (400, 3)) for m, s in ((0, 1), (3, 0.5), (-4, 2))])
    weights, means = np.array([0.2, 0.3, 0.5]), np.array([[0.0, 0, 0], [2, 2, 2], [-2, -3, -4]])
    variances = np.array([[1.0, 1, 1], [2, 2, 2], [3, 3, 3]])
    full = covariance == "full"
    covariances = np.array([np.diag(v) for v in variances]) if full else variances
    precisions = np.linalg.inv(covariances) if full else 1 / covariances
    theirs = mixture.GaussianMixture(
        3, covariance_type=covariance, weights_init=weights, means_init=means, precisions_init=precisions
    ).fit(samples)
    ours = q.GaussianMixture(3, 3, covariance)
    ours.set(weights, means, covariances)
    ours.fit(samples)
    assert ours.iterations == theirs.n_iter_ and ours.converged == theirs.converged_
    assert np.abs(ours.score(samples) - theirs.score_samples(samples)).max() < 1e-9
    assert abs(ours.log_likelihood - theirs.lower_bound_) < 1e-9
    assert np.allclose(np.asarray(ours.means), theirs.means_, atol=1e-9, rtol=0)
    ours.label(1)
    failure = ours.failure_probability(samples)
    assert np.abs(failure - theirs.predict_proba(samples)[:, 1]).max() < 1e-9
    detector = q.MixtureDetector(ours)
    detector.observe_sample(0.0, [3.0, 3, 3])
    assert detector.suspected(0) and detector.suspicion(0) > 0.99


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: q.PhiDetector(treshold=8), q.OptionError, "threshold"),
        (lambda: q.PhiDetector(window=0), q.RangeError, "window"),
        (lambda: q.PhiDetector().observe(math.nan), q.ArgumentError, "NaN"),
        (lambda: q.PhiDetector().observe_many([1, 2, 1]), q.ArgumentError, "runs backwards"),
        (lambda: q.PhiDetector().window, q.ArgumentError, "empty"),
        (lambda: q.ThresholdDetector().observe(0, math.nan), q.ArgumentError, "finite"),
        (lambda: q.Detector("phy"), q.NotFoundError, "did you mean 'phi'"),
        (lambda: q.Detector.load(b"QDT1 nonsense"), q.CorruptError, "damaged|no saved"),
        (lambda: q.GaussianMixture(0, 1), q.RangeError, "components"),
        (
            lambda: q.GaussianMixture(2, 1).fit([1.0, math.nan, 2]),
            q.ArgumentError,
            "sample 1, dimension 0 is NaN",
        ),
        (lambda: q.GaussianMixture(2, 2).fit(np.ones((9, 2)), regularisation=0), q.RangeError, "singular"),
        (lambda: q.GaussianMixture(1, 1).score([1.0]), q.ArgumentError, "no parameters"),
        (lambda: q.MixtureDetector(q.GaussianMixture(1, 1)), q.ArgumentError, "fitted"),
    ],
)
def test_bad_input_is_refused_in_words(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_quality_of_a_detector_of_ones_own():
    """Chen, Toueg and Aguilera's figures of a list of opinions, counted by hand."""
    times, suspected = [10, 12, 50, 51, 101.5], [True, False, True, False, True]
    seen = q.measure_opinions(times, suspected, begin=0, end=200, crash=100)
    assert (seen.detected, seen.mistakes, seen.detection, seen.recurrence) == (True, 2, 1.5, 40)
    assert seen.duration == pytest.approx(1.5) and seen.accuracy == pytest.approx(0.97)
    assert not q.measure_opinions([], [], begin=0, end=9).mistakes
    for wrong in (([1, 2], [True]), ([], [])):
        with pytest.raises(q.ArgumentError, match="opinions"):
            q.measure_opinions(*wrong, end=3)
