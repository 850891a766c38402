"""A certificate that nobody vouches for, made by the openssl that is there."""

from __future__ import annotations

import subprocess
from pathlib import Path


def self_made(folder: Path, name: str = "own") -> tuple[Path, Path]:
    """The files of a certificate for `gpu.example`, and of its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", "/CN=gpu.example",
               "-addext", "subjectAltName=DNS:gpu.example",
               "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    key.chmod(0o600)
    return certificate, key
