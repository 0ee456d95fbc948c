"""Node packages, installed once for each lock file and kept beside the virtual environment."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.faults.databases import ROOT
from tests.leaving_out import leave_out

HERE = Path(__file__).parent
KEPT = ROOT / ".venv" / "compat"
OLDEST_NODE = 20


def node_project(name: str, directory: Path) -> Path:
    """A copy of `tests/compat/<name>` in `directory`, with its packages."""
    require_node()
    modules = _installed(HERE / name)
    project = Path(shutil.copytree(HERE / name, directory / name))
    (project / "node_modules").symlink_to(modules)
    return project


def _installed(project: Path) -> Path:
    lock = (project / "package-lock.json").read_bytes()
    kept = KEPT / f"{project.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    with _alone(kept):
        if not kept.exists():
            _install(project, kept)
    return kept / "node_modules"


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Of two runs that need the same packages, one installs and the other waits for it."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_name(f"{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed, also by being killed
        yield


def _install(project: Path, kept: Path) -> None:
    """Whole, or not at all: what was interrupted is not taken for installed."""
    fresh = Path(mkdtemp(prefix=f"{kept.name}.", dir=kept.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(project / name, fresh)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=240)
        if done.returncode:
            leave_out(f"npm could not install {project.name}: {done.stderr.strip()[-500:]}")
        fresh.rename(kept)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def require_node() -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        leave_out("the JavaScript clients need node and npm, which are not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < OLDEST_NODE:
        leave_out(f"the JavaScript clients need node {OLDEST_NODE} or later; this is {version}")
