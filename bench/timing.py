"""How the scripts beside this one measure: as "residual bench" does."""
import statistics
import sys
import time

AT_LEAST = 0.2  # seconds of a measurement


def measure(step, batch, warmup, repeat):
    """Calls step warmup times unmeasured and takes repeat measurements, each of as
    many steps as fill a fifth of a second. Returns the figures of a turn."""
    for _ in range(warmup):
        step()
    began = time.perf_counter()
    step()
    steps = max(1, int(AT_LEAST / max(time.perf_counter() - began, 1e-6)))
    rates = []
    for _ in range(repeat):
        began = time.perf_counter()
        for _ in range(steps):
            step()
        rates.append(batch * steps / (time.perf_counter() - began))
    rate = statistics.median(rates)
    return {
        "images_per_second": rate, "images_per_second_min": min(rates), "images_per_second_max": max(rates),
        "step_milliseconds": 1e3 * batch / rate, "batch": batch, "warmup": warmup, "repeat": repeat,
        "steps_per_repeat": steps, "peak_rss_bytes": peak_rss_bytes(), "python": sys.version.split()[0],
    }


def peak_rss_bytes():
    """The largest resident size of this process so far; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
