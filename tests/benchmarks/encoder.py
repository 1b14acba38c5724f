"""The text encoder alone: cold start, memory, one query, batches, threads, and whether it lets other threads run.

Run as `python -m tests.benchmarks.encoder [--model NAME] [--threads 1]`; prints one JSON object. Each figure is the
ceiling for what the indexer and the query path can reach with the same model on the same machine.
"""

import argparse
import json
import platform
import random
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import psutil

from retrieval.encoders.factory import load_encoder, prepare_model
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import DEFAULT_MODEL, EncoderSettings, available_cpus

_NOUNS = ("martillo", "broca", "tornillo", "tubo pvc", "cable", "llave", "codo", "drill", "saw blade", "cinta")
_DETAILS = (
    '1/2"',
    "3 m",
    "galvanizado",
    "20 V",
    "para concreto",
    "c/rosca",
    "acero inoxidable",
    "x 100 uds",
    "profesional",
)
_QUERIES = ('broca 1/2" para concreto', "martillo", "tubo pvc 4 pulgadas sanitario", "taladro inalambrico 20v")


def texts(count: int, seed: int = 1) -> list[str]:
    """Product-like texts of 4 to 12 words, the same for the same seed."""
    draw = random.Random(seed)
    return [
        " ".join((draw.choice(_NOUNS), *draw.choices(_DETAILS, k=draw.randint(2, 7)), str(draw.randint(1, 9999))))
        for _ in range(count)
    ]


def single_query_ms(encoder: TextEncoder, repetitions: int) -> dict[str, float]:
    """Milliseconds of one query alone, after a warm-up."""
    encoder.encode_queries([_QUERIES[0]])
    spent = []
    for index in range(repetitions):
        started = time.perf_counter()
        encoder.encode_queries([_QUERIES[index % len(_QUERIES)]])
        spent.append(1e3 * (time.perf_counter() - started))
    return {"p50": round(statistics.median(spent), 2), "p95": round(statistics.quantiles(spent, n=20)[-1], 2)}


def passages_per_second(encoder: TextEncoder, count: int) -> float:
    """Throughput of one large call."""
    passages = texts(count)
    started = time.perf_counter()
    encoder.encode_passages(passages)
    return round(count / (time.perf_counter() - started), 1)


def longest_pause_ms(encoder: TextEncoder, seconds: float) -> float:
    """Longest time that another Python thread did not run while passages were computed: what an event loop would feel."""
    stop = threading.Event()
    longest = 0.0

    def tick() -> None:
        nonlocal longest
        previous = time.perf_counter()
        while not stop.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            longest = max(longest, now - previous)
            previous = now

    passages = texts(256)
    with ThreadPoolExecutor(1) as pool:
        ticking = pool.submit(tick)
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            encoder.encode_passages(passages)
        stop.set()
        ticking.result()
    return round(1e3 * longest, 1)


def measure(settings: EncoderSettings, *, repetitions: int, passages: int) -> dict[str, object]:
    """All figures of one model with one thread setting."""
    process = psutil.Process()
    prepare_model(settings)
    before = process.memory_info().rss
    started = time.perf_counter()
    encoder = load_encoder(settings)
    cold_start = time.perf_counter() - started
    loaded = process.memory_info().rss
    query = single_query_ms(encoder, repetitions)
    throughput = passages_per_second(encoder, passages)
    return {
        "model": settings.model,
        "threads": settings.threads or available_cpus(),
        "spin": settings.spin,
        "batch_tokens": settings.batch_tokens,
        "cold_start_s": round(cold_start, 2),
        "memory_after_load_mb": (loaded - before) >> 20,
        "memory_after_batches_mb": (process.memory_info().rss - before) >> 20,
        "query_ms": query,
        "passages_per_s": throughput,
        "longest_pause_of_another_thread_ms": longest_pause_ms(encoder, 3.0),
        "machine": f"{platform.machine()}, {available_cpus()} processors",
        "onnxruntime": version("onnxruntime"),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--spin", action="store_true")
    parser.add_argument("--batch-tokens", type=int, default=EncoderSettings().batch_tokens)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--passages", type=int, default=1024)
    options = parser.parse_args()
    settings = EncoderSettings(
        model=options.model, threads=options.threads, spin=options.spin, batch_tokens=options.batch_tokens
    )
    print(json.dumps(measure(settings, repetitions=options.repetitions, passages=options.passages)))


if __name__ == "__main__":
    main()
