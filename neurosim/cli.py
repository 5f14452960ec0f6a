"""The command line: its commands in order, errors as one line, exit codes."""

import os
import sys
from typing import Annotated

import typer

from neurosim import __version__
from neurosim.commands import catalog, files, networks, validate, work
from neurosim.errors import InterruptedRunError, MachineError, NeurosimError, is_debugging, os_trouble, printable

app = typer.Typer(
    name="neurosim",
    help="On-chip training inside the budgets of neuromorphic hardware: does it fit, how well does it learn, what does it cost?",
    no_args_is_help=True,
    rich_markup_mode=None,  # boxes pad every line, and words in brackets would be taken for markup
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command, summary in (
    (work.check, "Say whether a scenario or a network fits a chip, without training."),
    (work.run, "Train a scenario inside its chip's budgets."),
    (networks.evaluate, "Run a given network on a chip: accuracy, traffic and energy of inference."),
    (work.sweep, "Run a scenario along axes and seeds."),
    (work.search, "Find the smallest budget that reaches an accuracy."),
    (work.warmup, "Compile ahead what runs need."),
    (files.compare, "Show runs side by side."),
    (files.report, "Write figures and the page of a run, a sweep or a search."),
    (files.export, "Write a run's counts for other energy estimators."),
    (files.schema, "Print the JSON Schema of a kind of file."),
):
    app.command(short_help=summary)(command)
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
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
):
    if debug:
        os.environ["NEUROSIM_DEBUG"] = "1"


class _OutputError(Exception):
    """Standard output cannot be written; no `OSError`, so that nothing takes it for trouble with a file."""

    def __init__(self, error):
        super().__init__(error.strerror)
        self.error = error


class _Output:
    """Standard output that tells its own trouble from that of files."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        try:
            return self._stream.write(text)
        except OSError as error:
            raise _OutputError(error) from None

    def flush(self):
        try:
            self._stream.flush()
        except OSError as error:
            raise _OutputError(error) from None


def main(arguments=None):
    """Run the command line; returns the exit code (0, 1, 2, 3, 4 or 130)."""
    os.environ.pop("NEUROSIM_DEBUG", None)
    before = sys.stdout
    if before is None:  # closed by who called
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    elif hasattr(before, "reconfigure"):
        before.reconfigure(errors="backslashreplace")  # a terminal that knows ASCII alone, a file name that is no text
    sys.stdout = _Output(sys.stdout)
    try:
        return _run(arguments)
    except _OutputError as trouble:
        # A closed pipe (`neurosim ... | head`) or a full disk must not end in a traceback, nor in another one at exit.
        _discard(sys.stdout)
        if not isinstance(trouble.error, BrokenPipeError):
            _complain(f"cannot write the output: {trouble}")
        return 1
    finally:
        sys.stdout = before


def _run(arguments):
    try:
        result = app(arguments, prog_name="neurosim", standalone_mode=False)
        sys.stdout.flush()
        if result == InterruptedRunError.exit_code:
            _complain("interrupted")
        return result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except SystemExit as end:  # of completion, or of a closed pipe
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:
        if is_debugging() and not isinstance(error, _OutputError):
            raise
        known = _as_known(error)
        if known is None:
            raise
        for line in getattr(known, "lines", [known] if str(known) else []):
            _complain(line)
        return known.exit_code


def _as_known(error):
    """An error with one line of text and an exit code; None for a defect of neurosim, whose traceback is wanted."""
    if isinstance(error, NeurosimError):
        return error
    if isinstance(error, OSError):  # of a file or a connection that no other place has spoken for
        return os_trouble(error)
    if isinstance(error, MemoryError):
        return MachineError("this computer has too little memory for that")
    if hasattr(error, "format_message"):  # typer's own errors have no public base class in every version
        message = error.format_message()
        if "\n" in message:  # a group of commands without one: its help
            print(message)
            message = ""
        command = getattr(getattr(error, "ctx", None), "command_path", None) or "neurosim"
        known = NeurosimError(f"{message.rstrip('.')}; see {command} --help" if message else "")
        known.exit_code = getattr(error, "exit_code", 2)
        return known
    return None


def _complain(text):
    """Print one line on standard error; where that is closed or full, nobody can be told."""
    try:
        print(f"neurosim: {printable(text)}", file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def _discard(stream):
    """Throw away what `stream` still holds and could not write: Python would try again at exit, and end with a code of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
