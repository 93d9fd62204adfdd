"""``python -m bench [names]``: engine, mixed_batch, flow_batch, compilation, overhead, admission, claims, console, gallery_pages, dialects, switching, fairness, memory, gpu, gpu_steps; without names, all."""

from __future__ import annotations

import argparse
import importlib
import sys

from bench.report import save, table

BENCHES = (
    "engine",
    "mixed_batch",
    "flow_batch",
    "compilation",
    "overhead",
    "admission",
    "claims",
    "console",
    "gallery_pages",
    "dialects",
    "switching",
    "fairness",
    "memory",
    "gpu",
    "gpu_steps",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="benchmarks to run; default: all")
    for name in parser.parse_args().names or BENCHES:
        rows = importlib.import_module(f"bench.{name}").measure()
        if rows:
            print(f"\n{name}\n{table(rows)}\n({save(name, rows)})", flush=True)
        else:
            print(f"\n{name}: skipped, not supported on this machine", file=sys.stderr)


if __name__ == "__main__":
    main()
