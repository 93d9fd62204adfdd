"""Entry points: ``python -m gpu_runner`` is a runner for one device, ``python -m gpu_runner train`` a trainer."""

from __future__ import annotations

import os
import sys


def main() -> int:
    if sys.argv[1:2] == ["train"]:  # needs no torch
        from gpu_runner.training import command as train

        return train.main(sys.argv[2:])
    from gpu_runner.engine import command as generate

    return generate.main()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # do not wait for a device call in progress on the engine thread
