"""docs/benchmarks.md: what was measured stands between marks, with the machine and the versions."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = {
    "lightlab": "lightlab", "torch": "torch", "lightning": "lightning", "keras": "Keras", "tensorflow": "TensorFlow",
    "tensorflow-cpu": "TensorFlow", "jax": "JAX", "skorch": "skorch", "fastai": "fastai",
    "scikit-learn": "scikit-learn",
}  # fmt: skip


def fill(page: str, name: str, text: str) -> str:
    """Return a page with another text between the marks of a name, which go to its end if it has none."""
    begin, end = f"<!-- bench: {name} -->", f"<!-- end: {name} -->"
    filled = f"{begin}\n\n{text.strip()}\n\n{end}"
    if begin not in page:
        return f"{page.rstrip()}\n\n{filled}\n"
    before, rest = page.split(begin, 1)
    return before + filled + rest.split(end, 1)[1]


def circumstances(device: str, how: str) -> str:
    """Return when, how, on what and with what something was measured."""
    where = f"{os.cpu_count()} cores of {processor()}, {platform.system()} ({platform.machine()})"
    where += f", {graphics()}" if device == "cuda" else ", without a GPU"
    return f"{how} Measured on {datetime.date.today()} on {where}: Python {platform.python_version()}, {versions()}."


def versions() -> str:
    """Return the installed versions of all that take part."""
    found = {}
    for package, title in PACKAGES.items():
        try:
            found[title] = version(package)
        except PackageNotFoundError:
            continue
    return ", ".join(f"{title} {number}" for title, number in found.items())


def processor() -> str:
    """Return the processor's name, and which of its units for matrices torch can use."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "a processor"
    name = re.search(r"model name\s*: (.*)", text)
    units = [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {unit} " in f" {text} "]
    return f"{name[1].strip() if name else 'a processor'} ({', '.join(units)})"


def graphics() -> str:
    """Return the GPU's name, as its driver has it."""
    call = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
