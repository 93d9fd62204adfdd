"""``python -m bench [names]``: engine, company, overhead, admission, claims, console, dialects, switching, fairness, gpu; without names, all."""

from __future__ import annotations

import argparse
import importlib
import sys

from bench.report import keep, table

BENCHES = (
    "engine",
    "company",
    "overhead",
    "admission",
    "claims",
    "console",
    "dialects",
    "switching",
    "fairness",
    "gpu",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="which of them")
    for name in parser.parse_args().names or BENCHES:
        rows = importlib.import_module(f"bench.{name}").measure()
        if rows:
            print(f"\n{name}\n{table(rows)}\n({keep(name, rows)})", flush=True)
        else:
            print(f"\n{name}: not on this machine", file=sys.stderr)


if __name__ == "__main__":
    main()
