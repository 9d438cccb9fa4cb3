"""The command line: ``spikecore`` and its sub-commands, one file each."""

from __future__ import annotations

import json
import sys

import click

import spikecore
from spikecore.errors import SpikecoreError

__all__ = ["main"]

INTERRUPTED = 130


class _LazyGroup(click.Group):
    """Loads a sub-command only when it is used, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = import_module(f"spikecore.cli.{cmd_name}").command
        return command


_COMMANDS = ("astro", "backends", "doctor", "export", "memory", "motion", "run")


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(spikecore.__version__, prog_name="spikecore")
def root() -> None:
    """Spiking networks on any backend; memories that store and recall; motion from events.

    Start with: spikecore memory demo, spikecore motion detect FILE, or spikecore run FILE.py:NAME
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Exit status: 0 done, 1 a comparison found differences, 2 wrong usage, 3 bad
    input, 4 backend unavailable, 5 refused by a backend, 6 a run ended early, 130
    interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        status = root.main(arguments, prog_name="spikecore", standalone_mode=False)
    except SpikecoreError as error:
        click.echo(f"error: {error}", err=True)
        if "--json" in arguments:
            click.echo(
                json.dumps(
                    {
                        "error": {
                            "kind": type(error).__name__,
                            "place": error.place,
                            "rule": error.rule,
                            "got": None if error.got is None else str(error.got),
                            "fix": error.fix,
                        }
                    }
                )
            )
        status = error.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        status = INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; there is nobody left to tell.
        sys.stderr.close()
        status = 0
    sys.exit(status if isinstance(status, int) else 0)
