"""Commands of an administrator that a test cannot run on its machine, and what takes their place.

``python stand_ins.py COMMAND ARGUMENTS``, called by scripts of these names in the sandbox's ``bin`` folder. The sandbox's
``sandbox.json`` has the replacements of paths and ports.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from environment_file import read as read_environment  # the script's folder is on sys.path
from replacements import replaced

FOLDER = Path(os.environ["SANDBOX"])
CONFIGURATION = json.loads((FOLDER / "sandbox.json").read_text())
PROCESSES = FOLDER / "processes"


def git(arguments: list[str]) -> None:
    """``clone``: the files of the working tree, with the sandbox's paths in deploy/."""
    assert arguments[0] == "clone"
    target = Path(arguments[-1])
    target.mkdir(parents=True)
    listed = [
        "git",
        "-C",
        CONFIGURATION["root"],
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    names = subprocess.run(listed, env=_outside(), capture_output=True, check=True).stdout
    existing = [
        name for name in names.decode().split("\0") if name and (Path(CONFIGURATION["root"]) / name).is_file()
    ]
    pack = subprocess.Popen(
        ["tar", "-C", CONFIGURATION["root"], "--null", "-T", "-", "-cf", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    unpack = subprocess.Popen(["tar", "-C", target, "-xf", "-"], stdin=pack.stdout)
    assert pack.stdin
    pack.stdin.write("\0".join(existing).encode())
    pack.stdin.close()
    assert (pack.wait(), unpack.wait()) == (0, 0)
    for path in [target / "deploy/nginx.conf", *(target / "deploy/systemd").iterdir()]:
        path.write_text(replaced(path.read_text(), CONFIGURATION["replacements"]))


def python3(arguments: list[str]) -> None:
    """``-m venv``: an environment that imports the packages of the test's environment."""
    assert arguments[:2] == ["-m", "venv"]
    folder = Path(arguments[2])
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _script(folder / "bin" / "pip", "pip")


def pip(arguments: list[str]) -> None:
    """``install``: check that everything is installed already, in the versions that are named."""
    assert arguments[0] == "install"
    options = ["--dry-run", "--no-index", "--quiet", "--disable-pip-version-check"]
    environment = os.environ | {"PIP_CONFIG_FILE": os.devnull}
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *arguments[1:]], env=environment, check=True
    )


def install(arguments: list[str]) -> None:
    """Without the group, which does not exist."""
    kept = [word for word in arguments if word != "atelier"]
    subprocess.run(["install", *(word for word in kept if word != "-g")], env=_outside(), check=True)


def runuser(arguments: list[str]) -> None:
    """As the same user, unless root: PostgreSQL's programs are run by its own user."""
    command = arguments[3:]
    assert arguments[:3] == ["-u", "postgres", "--"]
    if os.geteuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    subprocess.run(command, env=_outside(), check=True)


def systemctl(arguments: list[str]) -> None:
    match arguments:
        case ["daemon-reload"]:
            pass
        case ["enable", "--now", *units]:
            for unit in units:
                if not unit.endswith(".target"):
                    _start(unit)
        case ["reload", "nginx"]:
            nginx([])
        case _:
            sys.exit(f"systemctl: unexpected arguments: {arguments}")


def nginx(arguments: list[str]) -> None:
    subprocess.run(
        [
            CONFIGURATION["nginx"],
            "-p",
            FOLDER,
            "-c",
            FOLDER / "nginx.conf",
            "-e",
            FOLDER / "nginx-error.log",
            *arguments,
        ],
        check=True,
    )


def nothing(arguments: list[str]) -> None:
    """Packages and users of the machine, and owners of files, stay as they are."""


def _start(unit: str) -> None:
    """Start the process of a unit, with nothing but the environment that the unit gives it."""
    template, _at, instance = unit.partition("@")
    name = f"{template}@.service" if instance else f"{template}.service"
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    settings: dict[str, str] = {}
    for line in (FOLDER / "etc/systemd/system" / name).read_text().replace("%i", instance).splitlines():
        key, separator, value = line.partition("=")
        if key == "EnvironmentFile":
            path = Path(value.removeprefix("-"))
            if path.exists() or not value.startswith("-"):
                environment |= read_environment(path)
        elif key == "Environment":
            environment |= dict(assignment.split("=", 1) for assignment in shlex.split(value))
        elif separator:
            settings[key] = value
    with (FOLDER / f"{unit}.log").open("ab") as log:
        process = subprocess.Popen(
            shlex.split(settings["ExecStart"]),
            cwd=settings["WorkingDirectory"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with PROCESSES.open("a") as file:
        print(process.pid, file=file)


def _outside() -> dict[str, str]:
    """The environment in which these names are those of the machine's programs."""
    return os.environ | {"PATH": CONFIGURATION["path"]}


def _script(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, __file__, command])} "$@"\n')
    path.chmod(0o755)


COMMANDS = {
    function.__name__: function for function in (git, python3, pip, install, runuser, systemctl, nginx)
} | {
    "apt-get": nothing,
    "useradd": nothing,
    "chown": nothing,
}


def create_scripts(folder: Path) -> None:
    for command in COMMANDS:
        if command != "pip":
            _script(folder / command, command)


if __name__ == "__main__":
    if sys.argv[1] == "create_scripts":
        create_scripts(FOLDER / "bin")
    else:
        COMMANDS[sys.argv[1]](sys.argv[2:])
