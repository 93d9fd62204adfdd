"""What `make run` and `make test` do before there is a virtual environment: the standard library alone, any Python 3.

python3 platform/quickstart/bootstrap.py venv LOCK          make .venv and install the lock
python3 platform/quickstart/bootstrap.py run LOCK           the same, then hand over to `manage.py up`
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
NEEDED_PYTHON = (3, 11)
GIB = 1024**3
VENV_GIB, CUDA_VENV_GIB = 3, 10  # while pip installs: downloads and installed files
CUDA_PACKAGES = ("nvidia-", "cuda-")  # torch's build for NVIDIA GPUs depends on these
PIP_WITH_CHEAP_DRY_RUN = "pip>=23.3"  # older ones download what they only report
UNSPEAKABLE = ("%", " ;", "\n")  # supervisord's configuration has no way to write them


def refuse(reason: str) -> None:
    sys.exit("atelier: " + reason)


def check_python() -> None:
    if sys.version_info < NEEDED_PYTHON:
        have = "%d.%d" % sys.version_info[:2]  # noqa: UP031 - must run on any Python 3
        refuse("Python 3.11 or newer is needed, this is " + have + "; try PYTHON=python3.11 make run")


def existing_parent(path: str) -> str:
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def check_disk(path: str, needed_bytes: int, what: str, hint: str = "") -> None:
    free = shutil.disk_usage(existing_parent(path)).free
    if free < needed_bytes:
        text = f"{what} needs {needed_bytes / GIB:.1f} GiB free at {path}, there is {free / GIB:.1f} GiB"
        refuse(text + hint)


def check_port(port: str) -> None:
    if not port.isdigit() or not 0 < int(port) < 65536:
        refuse("PORT must be a number from 1 to 65535, not " + repr(port))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            refuse("port " + port + " is taken; try PORT=8001 make run")


def check_data_dir(path: str) -> None:
    if any(mark in path for mark in UNSPEAKABLE):
        refuse("DATA_DIR may not contain %, a line break, or a semicolon after a space: " + repr(path))
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, ".writable")
        with open(probe, "wb") as file:
            file.write(b"x" * 4096)
        os.remove(probe)
    except OSError as error:
        refuse("cannot write to DATA_DIR " + path + ": " + (error.strerror or str(error)))


def hold(data_dir: str, port: str) -> None:
    """Two would fight over the runner's row. The lock ends with the process that this one becomes."""
    file = os.open(os.path.join(data_dir, ".running"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        port_of_other = os.read(file, 5).decode()
        refuse(f"DATA_DIR {data_dir} is in use by the `make run` on port {port_of_other}; stop it first")
    os.ftruncate(file, 0)
    os.write(file, port.encode())
    os.set_inheritable(file, True)


def demo_secrets(data_dir: str) -> dict:
    """The secrets of this DATA_DIR, made once, readable by its owner alone."""
    path = os.path.join(data_dir, "secrets.json")
    if not os.path.exists(path):
        made = {name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "RUNNER_TOKEN")}
        with open(os.open(path + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(made, file)
        os.replace(path + ".part", path)
    try:
        with open(path) as file:
            return json.load(file)
    except ValueError:
        refuse(f"{path} is damaged: bring it back from a backup, or begin anew with another DATA_DIR")
        raise


def pip(
    *arguments: str, stdout: "int | None" = None, stderr: "int | None" = None
) -> "subprocess.CompletedProcess[bytes]":
    command = [PYTHON, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    return subprocess.run(command, check=False, stdout=stdout, stderr=stderr)


def torch_requirement(lock: str) -> str:
    """The line of a lock that pins torch."""
    with open(lock) as file:
        return next(line.strip() for line in file if line.startswith("torch=="))


def needs_cuda(torch: str) -> bool:
    """Whether pip would install NVIDIA's libraries with this torch, or the one that is installed already.

    False where pip cannot tell: the installation itself then says what is wrong.
    """
    report = pip("install", "--dry-run", "--report", "-", torch, stdout=subprocess.PIPE)
    if report.returncode:
        return False
    names = [item["metadata"]["name"] for item in json.loads(report.stdout)["install"]]
    return any(name.lower().replace("_", "-").startswith(CUDA_PACKAGES) for name in names)


def install(lock: str) -> None:
    """Make .venv hold exactly what the lock names; nothing to do when it was made from this very lock."""
    alone = os.path.join(os.path.dirname(lock), "without-dependencies.txt")
    with open(lock, "rb") as file, open(alone, "rb") as more:
        wanted = hashlib.sha256(file.read() + more.read() + sys.version.encode()).hexdigest()
    stamp = os.path.join(VENV, "." + os.path.basename(lock) + ".sha256")
    if os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == wanted:
                return
    check_disk(ROOT, VENV_GIB * GIB, "the virtual environment")
    if not os.path.exists(PYTHON):
        print("atelier: making .venv", flush=True)
        made = subprocess.run(
            [sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False
        )
        if made.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            refuse("cannot make .venv; on Debian and Ubuntu: apt-get install python3-venv")
    print("atelier: installing " + os.path.relpath(lock, ROOT) + " (some minutes the first time)", flush=True)
    torch, torch_index = torch_requirement(lock), os.environ.get("TORCH_INDEX_URL")
    pip("install", PIP_WITH_CHEAP_DRY_RUN, stderr=subprocess.DEVNULL)  # if it fails, the dry run takes longer
    if torch_index and pip("install", "--no-deps", "--index-url", torch_index, torch).returncode:
        refuse("could not install " + torch + " from TORCH_INDEX_URL")
    if needs_cuda(torch):
        hint = f"; with TORCH_INDEX_URL set to an index of CPU builds, {VENV_GIB} GiB are enough"
        check_disk(ROOT, CUDA_VENV_GIB * GIB, "the virtual environment with torch for CUDA", hint)
    for arguments in (["-r", lock], ["--no-deps", "-r", alone]):
        if pip("install", *arguments).returncode:
            refuse("could not install " + os.path.relpath(arguments[-1], ROOT))
    with open(stamp, "w") as file:
        file.write(wanted)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C needs no traceback
    verb, lock = sys.argv[1], os.path.abspath(sys.argv[2])
    check_python()
    if verb == "run":
        data_dir = os.path.abspath(os.environ.get("DATA_DIR") or os.path.join(ROOT, "var"))
        check_port(os.environ.get("PORT") or "8000")
        check_disk(data_dir, GIB // 4, "DATA_DIR")
        check_data_dir(data_dir)
        hold(data_dir, os.environ.get("PORT") or "8000")
    install(lock)
    if verb == "run":
        os.environ.update(demo_secrets(data_dir), DATA_DIR=data_dir, ATELIER_DEMO="1")
        os.environ.setdefault("PORT", "8000")
        os.chdir(ROOT)
        os.execv(PYTHON, [PYTHON, "manage.py", "up"])


if __name__ == "__main__":
    main()
