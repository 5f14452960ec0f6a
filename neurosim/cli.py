"""The command line: its commands in order, errors as one line, exit codes."""

import os
import sys
from typing import Annotated

import typer

from neurosim import __version__
from neurosim.commands import catalog, files, validate, work
from neurosim.errors import InterruptedRunError, NeurosimError

app = typer.Typer(
    name="neurosim",
    help="On-chip training inside the budgets of neuromorphic hardware: does it fit, how well does it learn, what does it cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (work.check, work.run, work.sweep, work.warmup, files.compare, files.report, files.export, files.schema):
    app.command()(command)
app.add_typer(catalog.profiles_app, name="profiles")
app.add_typer(catalog.scenarios_app, name="scenarios")
app.add_typer(catalog.data_app, name="data")
app.add_typer(validate.app, name="validate")


def _print_version(value: bool):
    if value:
        print(f"neurosim {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
):
    if debug:
        os.environ["NEUROSIM_DEBUG"] = "1"


def main(arguments=None):
    """Run the command line; returns the exit code (0, 1, 2, 3, 4 or 130)."""
    os.environ.pop("NEUROSIM_DEBUG", None)
    try:
        return _run(arguments)
    except OSError as error:  # of standard output; files have errors of their own
        # A closed pipe (`neurosim ... | head`) or a full disk must not end in a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"neurosim: cannot write the output: {error.strerror}", file=sys.stderr)
        return 1


def _run(arguments):
    try:
        result = app(arguments, standalone_mode=False)
        sys.stdout.flush()
        if result == InterruptedRunError.exit_code:
            print("neurosim: interrupted", file=sys.stderr)
        return result if isinstance(result, int) else 0
    except NeurosimError as error:
        if os.environ.get("NEUROSIM_DEBUG"):
            raise
        print(f"neurosim: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("neurosim: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # typer's own errors have no public base class in every version
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()
        if message:
            print(f"neurosim: {message}; see neurosim --help", file=sys.stderr)
        return getattr(error, "exit_code", 2)


if __name__ == "__main__":
    sys.exit(main())
