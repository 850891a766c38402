"""`python -m trainer.serve [ROOT]`: a page on which runs are listed, watched and designed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schedules.declaration import Refused, refuse
from schedules.interrupt import exiting_when_interrupted

from .runs.exit_codes import DONE, FAILED, REFUSED
from .runs.terminal import lenient_streams

if TYPE_CHECKING:
    from .service.exposure import Exposure
    from .service.permissions import Permissions

EPILOG = """\
The server listens on this machine alone, and lets in who has come by the link that it prints, which
works once; `python -m trainer.serve --link` prints another. From elsewhere, forward the port:

  ssh -L 8321:127.0.0.1:8321 HOST

Or be reached, encrypted: --host 0.0.0.0 --tls-cert FILE --tls-key FILE --trust-host NAME, or by a
proxy that encrypts: --behind-proxy https://NAME/PATH/.

Everything works without it, and what it keeps may be deleted at any time.
"""


@exiting_when_interrupted()
@lenient_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is interrupted, and returns the exit code: 0, or 2 for a refused option."""
    options = _parser().parse_args(arguments)
    try:
        root = options.root.expanduser().resolve()
        if not root.is_dir():
            from .service.access.place import no_folder

            raise no_folder(str(options.root))
        return _print_link(root) if options.link else _serve(root, options)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(f"{error.filename or options.root}: {error.strerror or error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m trainer.serve",
        description="Serve a page of the runs below a folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", nargs="?", type=Path, default=Path(), metavar="ROOT",
                        help="the folder that runs are in (the one you stand in)")  # fmt: skip
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, help="default: 8321, or any that is free")
    where.add_argument("--uds", type=Path, metavar="PATH", help="a Unix socket instead of a port")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                        help="an address that others reach; needs TLS or a proxy")  # fmt: skip
    parser.add_argument("--tls-cert", type=Path, metavar="FILE",
                        help="a certificate, with those that vouch for it, as PEM")  # fmt: skip
    parser.add_argument("--tls-key", type=Path, metavar="FILE",
                        help="its key, where that is in a file of its own")  # fmt: skip
    parser.add_argument("--behind-proxy", default="", metavar="URL",
                        help="where a proxy that encrypts has it: https://NAME/PATH/")  # fmt: skip
    parser.add_argument("--link", action="store_true",
                        help="print another link to the server that runs for ROOT")  # fmt: skip
    parser.add_argument("--trust-host", action="append", default=[], metavar="NAME",
                        help="a name by which users of a proxy know this server")  # fmt: skip
    parser.add_argument("--allow-code", action="append", default=[], metavar="MODULE",
                        help="configs may name functions of it; `all`: of any")  # fmt: skip
    parser.add_argument("--allow-folder", action="append", default=[], type=Path, metavar="DIR",
                        help="configs may name files here, besides ROOT and here")  # fmt: skip
    parser.add_argument("--allow-tracker", action="append", default=[], metavar="ADDRESS",
                        help="runs may send their rows there")  # fmt: skip
    parser.add_argument("--ray", default="", metavar="URL",
                        help="the dashboard of a cluster of Ray, for the engine ray")  # fmt: skip
    parser.add_argument("--config-dir", metavar="DIR", help="a folder that adds options to groups")
    return parser


def _serve(root: Path, options: argparse.Namespace) -> int:
    _require_packages()
    from .runs.known_secrets import know_environment
    from .service.address import tell_address
    from .service.api.application import application
    from .service.jobs.engines.available import available
    from .service.running_service import RunningService
    from .service.server import Server, listen_on_path, listen_on_port, serve
    from .service.state_folder import state_folder
    from .service.tokens import Tokens

    know_environment()
    exposure = _exposure(options)
    tls = exposure.tls()
    state = state_folder()
    permissions = _permissions(root, options)
    engines = available(options.ray)
    if options.uds:
        path = options.uds.absolute()
        listener, port = listen_on_path(path), 0
        address: dict[str, Any] = {"uds": str(path)}
    else:
        listener = listen_on_port(options.port, options.host)
        port = listener.getsockname()[1]
        address = exposure.address(port)
    try:
        tokens = Tokens.in_folder(state, port)
        service = RunningService(root, state, tokens, permissions, engines)
        app = application(service, exposure)

        def listening() -> None:
            tell_address(state, root, address)
            link = exposure.link(port, f"/?link={tokens.new_link()}")
            print(f"{root}: {link}{f'  on {options.uds}' if options.uds else ''}", flush=True)

        serve(Server(service, app, listening, tls), listener)
    finally:
        listener.close()
        if options.uds:
            options.uds.unlink(missing_ok=True)
    return DONE


def _exposure(options: argparse.Namespace) -> Exposure:
    from .service.exposure import Exposure

    files = options.tls_cert, options.tls_key
    if options.uds and (options.host != "127.0.0.1" or any(files)):
        rule = "is on this machine alone, and for its owner"
        raise refuse("--uds", str(options.uds), rule, "--port, with --host or --tls-cert")
    certificate, key = (file and file.absolute() for file in files)
    exposure = Exposure(
        options.host, tuple(options.trust_host), options.behind_proxy, certificate, key
    )
    exposure.check()
    return exposure


def _permissions(root: Path, options: argparse.Namespace) -> Permissions:
    from .service.permissions import Permissions

    for folder in options.allow_folder:
        if not folder.is_dir():
            raise refuse("--allow-folder", str(folder), "is no folder")
    if options.config_dir is not None and not Path(options.config_dir).is_dir():
        raise refuse("--config-dir", options.config_dir, "is no folder")
    folders = (root, Path.cwd(), *(folder.resolve() for folder in options.allow_folder))
    code = "all" in options.allow_code or tuple(options.allow_code)
    return Permissions(code, folders, options.config_dir, tuple(options.allow_tracker))


def _print_link(root: Path) -> int:
    """Asks the server of a root for a link.

    Raises:
        Refused: when none runs there.
    """
    from .service.access.client import Client
    from .service.access.client_error import ClientError

    try:
        print(Client(root).link())
    except ClientError as error:
        print(error, file=sys.stderr)
        return FAILED
    return DONE


def _require_packages() -> None:
    """Whether the extra is installed.

    Raises:
        Refused: when it is not.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        rule = f"needs a package that is not installed: {error.name}"
        hint = "pip install 'scheduled-training[service]'"
        raise refuse("trainer.serve", str(error.name), rule, hint) from None


if __name__ == "__main__":
    sys.exit(main())
