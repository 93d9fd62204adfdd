"""Bootstrap of `make run` and `make test`: creates the virtual environment.

Uses only the standard library, and runs on any Python 3.

python3 platform/quickstart/bootstrap.py venv LOCK          create .venv and install the lock file
python3 platform/quickstart/bootstrap.py run LOCK           the same, then exec `manage.py up`
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
MIN_PYTHON = (3, 11)
GIB = 1024**3
VENV_GIB, CUDA_VENV_GIB = 3, 10  # disk space during installation, for downloads and installed files
CUDA_PACKAGES = ("nvidia-", "cuda-")  # package name prefixes of the dependencies of torch's CUDA build
PIP_WITH_CHEAP_DRY_RUN = "pip>=23.3"  # older versions download packages in a dry run
FORBIDDEN_IN_DATA_DIR = ("%", " ;", "\n")  # cannot be escaped in supervisord's configuration


def fail(reason: str) -> None:
    sys.exit("atelier: " + reason)


def check_python() -> None:
    if sys.version_info < MIN_PYTHON:
        version = "%d.%d" % sys.version_info[:2]  # noqa: UP031 - must run on any Python 3
        fail("Python 3.11 or newer is required (got " + version + "); try PYTHON=python3.11 make run")


def existing_parent(path: str) -> str:
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def check_disk(path: str, needed_bytes: int, what: str, hint: str = "") -> None:
    free = shutil.disk_usage(existing_parent(path)).free
    if free < needed_bytes:
        text = f"{what} needs {needed_bytes / GIB:.1f} GiB free at {path}, there is {free / GIB:.1f} GiB"
        fail(text + hint)


def check_port(port: str) -> None:
    if not port.isdigit() or not 0 < int(port) < 65536:
        fail("PORT must be a number from 1 to 65535 (got " + repr(port) + ")")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            fail("port " + port + " is in use; try PORT=8001 make run")


def check_data_dir(path: str) -> None:
    if any(text in path for text in FORBIDDEN_IN_DATA_DIR):
        fail("DATA_DIR may not contain %, a line break, or a semicolon after a space: " + repr(path))
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, ".writable")
        with open(probe, "wb") as file:
            file.write(b"x" * 4096)
        os.remove(probe)
    except OSError as error:
        fail("cannot write to DATA_DIR " + path + ": " + (error.strerror or str(error)))


def lock_data_dir(data_dir: str, port: str) -> None:
    """Lock DATA_DIR, because two instances would share one runner row.

    The lock is released when the process that this one execs ends.
    """
    file = os.open(os.path.join(data_dir, ".running"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        port_of_other = os.read(file, 5).decode()
        fail(f"DATA_DIR {data_dir} is in use by the `make run` on port {port_of_other}; stop it first")
    os.ftruncate(file, 0)
    os.write(file, port.encode())
    os.set_inheritable(file, True)


def demo_secrets(data_dir: str) -> dict:
    """Return the secrets of this DATA_DIR. Created on first use, readable only by the owner."""
    path = os.path.join(data_dir, "secrets.json")
    if not os.path.exists(path):
        created = {name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "RUNNER_TOKEN")}
        with open(os.open(path + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(created, file)
        os.replace(path + ".part", path)
    try:
        with open(path) as file:
            return json.load(file)
    except ValueError:
        fail(f"{path} is not valid JSON; restore it from a backup, or use another DATA_DIR")
        raise


def pip(
    *arguments: str, stdout: "int | None" = None, stderr: "int | None" = None
) -> "subprocess.CompletedProcess[bytes]":
    command = [PYTHON, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    return subprocess.run(command, check=False, stdout=stdout, stderr=stderr)


def torch_requirement(lock: str) -> str:
    """Return the line of the lock file that pins torch."""
    with open(lock) as file:
        return next(line.strip() for line in file if line.startswith("torch=="))


def needs_cuda(torch: str) -> bool:
    """Return whether pip would install NVIDIA's libraries for this torch requirement.

    False if pip fails; the installation then reports the error.
    """
    report = pip("install", "--dry-run", "--report", "-", torch, stdout=subprocess.PIPE)
    if report.returncode:
        return False
    names = [item["metadata"]["name"] for item in json.loads(report.stdout)["install"]]
    return any(name.lower().replace("_", "-").startswith(CUDA_PACKAGES) for name in names)


def install(lock: str) -> None:
    """Install exactly the packages of the lock file in .venv. Skipped if .venv is from the same lock."""
    no_deps_lock = os.path.join(os.path.dirname(lock), "without-dependencies.txt")
    with open(lock, "rb") as file, open(no_deps_lock, "rb") as more:
        digest = hashlib.sha256(file.read() + more.read() + sys.version.encode()).hexdigest()
    stamp = os.path.join(VENV, "." + os.path.basename(lock) + ".sha256")
    if os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == digest:
                return
    check_disk(ROOT, VENV_GIB * GIB, "the virtual environment")
    if not os.path.exists(PYTHON):
        print("atelier: creating .venv", flush=True)
        created = subprocess.run(
            [sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False
        )
        if created.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            fail("cannot create .venv; on Debian and Ubuntu: apt-get install python3-venv")
    print(
        "atelier: installing " + os.path.relpath(lock, ROOT) + " (takes some minutes the first time)",
        flush=True,
    )
    torch, torch_index = torch_requirement(lock), os.environ.get("TORCH_INDEX_URL")
    # If this fails, only the dry run is slower.
    pip("install", PIP_WITH_CHEAP_DRY_RUN, stderr=subprocess.DEVNULL)
    if torch_index and pip("install", "--no-deps", "--index-url", torch_index, torch).returncode:
        fail("could not install " + torch + " from TORCH_INDEX_URL")
    if needs_cuda(torch):
        hint = f"; with TORCH_INDEX_URL set to an index of CPU builds, {VENV_GIB} GiB are enough"
        check_disk(ROOT, CUDA_VENV_GIB * GIB, "the virtual environment with torch for CUDA", hint)
    for arguments in (["-r", lock], ["--no-deps", "-r", no_deps_lock]):
        if pip("install", *arguments).returncode:
            fail("could not install " + os.path.relpath(arguments[-1], ROOT))
    with open(stamp, "w") as file:
        file.write(digest)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback on Ctrl-C
    command, lock = sys.argv[1], os.path.abspath(sys.argv[2])
    check_python()
    if command == "run":
        data_dir = os.path.abspath(os.environ.get("DATA_DIR") or os.path.join(ROOT, "var"))
        check_port(os.environ.get("PORT") or "8000")
        check_disk(data_dir, GIB // 4, "DATA_DIR")
        check_data_dir(data_dir)
        lock_data_dir(data_dir, os.environ.get("PORT") or "8000")
    install(lock)
    if command == "run":
        os.environ.update(demo_secrets(data_dir), DATA_DIR=data_dir, ATELIER_DEMO="1")
        os.environ.setdefault("PORT", "8000")
        os.chdir(ROOT)
        os.execv(PYTHON, [PYTHON, "manage.py", "up"])


if __name__ == "__main__":
    main()
