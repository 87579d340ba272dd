"""Commands of the pages, checked against what they call: functions and their arguments, groups, options, modules, files."""

import ast
import functools
import importlib.util
import inspect
import re
import runpy
import shlex
import subprocess
import sys

import yaml
from minions import PROJECT
from vmimage.settings.gather import gather_settings

#: programs of others: of their commands only the shell's syntax and the project's files are looked at
OTHERS = "apt-get aws cat cd cp fuser git hg journalctl mkdir modprobe openstack qemu-img rsync salt-key systemctl tar".split()
#: of salt-call, with a value, and without
_WITH_VALUE, _FLAGS = ("--out", "--config-dir", "-l"), ("--local", "--retcode-passthrough")
_STATES = {path.stem for path in (PROJECT / "states").glob("*.sls")}
_PLACEHOLDER = re.compile(r"\[|\w\|\w|\.\.\.|…|\b(FUNCTION|GROUP|OPTION)\b")
#: words that are files of the project where they begin so
_TOPS = ("states/", "docs/", "tests/", "benchmarks/", "_modules/", "_states/", "_utils/")


#: its client, where ./run-tests has installed it for the group openstack
_OPENSTACK = PROJECT / ".venv-openstack/bin/openstack"


class CommandWrong(AssertionError):
    """A command of a page that would not do."""


def commands_of(text):
    """The simple commands of some lines of bash, each a list of words, without sudo, environment, comments, and redirections."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandWrong(f"bash: {done.stderr}")
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = []
        for word in [*lexer, ";"]:
            if set(word) <= set("&|;"):
                if words := _plain(words):
                    yield words
                words = []
            else:
                words.append(word)


def _plain(words):
    while words and (words[0] in ("sudo", "env", "exec") or re.match(r"[A-Z_]+=", words[0])):
        words = words[1:]
    return words


def is_ours(text):
    """Whether words in code style are a command of this project, complete enough to be checked."""
    is_command = re.match(
        r"(sudo )?(salt-call |\./|python -m vmimage|(sudo )?benchmarks/\w+ |vm_create\.\w+ \w|state\.(sls|apply) )", text
    )
    return bool(is_command) and not _PLACEHOLDER.search(text) and not re.fullmatch(r"(sudo )?\S+|salt-call --local", text)


def check_command(words):
    """Check one command.

    :returns: what it was checked as
    :raises CommandWrong: saying why it would not do
    """
    _check_files(words)
    program, rest = words[0], words[1:]
    if program in ("salt-call", "salt"):
        return check_salt(_behind_target(rest) if program == "salt" else rest)
    if program == "salt-run":
        return check_runner(rest)
    if program == "./quickstart":
        return _check_quickstart(rest)
    if program == "./run-tests":
        return _check_run_tests(rest)
    if re.fullmatch(r"vm_create\.\w+|state\.\w+", program):
        return check_salt(words)
    if program.startswith("benchmarks/"):
        return _check_options([sys.executable, f"{program}.py"], rest, f"benchmark {program}")
    if program.rpartition("/")[2] in ("python", "python3"):
        return _check_python(rest)
    if program.rpartition("/")[2] in ("pip", "sphinx-build"):
        name = program.rpartition("/")[2]
        more = [rest[0]] if name == "pip" else []
        return _check_options([str(PROJECT / ".venv/bin" / name), *more], rest[len(more) :], name)
    if program == "openstack" and _OPENSTACK.exists():
        end = next(at for at, word in enumerate(rest) if word in ("create", "list", "show", "delete")) + 1
        return _check_options([str(_OPENSTACK), *rest[:end]], rest[end:], "openstack")
    if program in OTHERS:
        return "syntax"
    raise CommandWrong(f"{program} is no program that a page may call: tests/support/commands.py knows them")


def check_salt(words):
    """A Salt function with its arguments."""
    words = list(words)
    rest = []
    while words:
        word = words.pop(0)
        if word in _WITH_VALUE:
            words.pop(0)
        elif word.startswith("-"):
            if word not in _FLAGS:
                raise CommandWrong(f"salt-call has no option {word} that a page may show")
        else:
            rest.append(word)
    if not rest:
        raise CommandWrong("no function is called")
    function, *given = rest
    arguments, keywords = _parsed(given)
    module, _, name = function.partition(".")
    if module == "vm_create":
        _check_call(name, arguments, keywords)
    elif function in ("state.sls", "state.apply"):
        unknown = [sls for argument in arguments for sls in argument.split(",") if sls not in _STATES]
        if unknown or not isinstance(keywords.get("pillar", {}), dict):
            raise CommandWrong(f"states/ has no {unknown}, or the pillar is no mapping: {keywords}")
    return f"salt {function}"


def _behind_target(words):
    """What follows the target of salt, which may be a compound target."""
    return words[2:] if words[0] == "-C" else words[1:]


def check_runner(words):
    """A function of a runner with its arguments; of runners other than vm_fleet those that a page may call."""
    function, *given = words
    module, _, name = function.partition(".")
    if module != "vm_fleet":
        if function not in ("saltutil.sync_all", "event.send"):
            raise CommandWrong(f"{function} is no function of a runner that a page may call")
        return f"runner {function}"
    known = functions("_runners/vm_fleet.py")
    if name not in known:
        raise CommandWrong(f"there is no function vm_fleet.{name}")
    arguments, keywords = _parsed(given)
    try:
        known[name].bind(*arguments, **keywords)
    except TypeError as error:
        raise CommandWrong(f"vm_fleet.{name}: {error}") from None
    return f"runner {function}"


def _parsed(given):
    """``(positional, by keyword)``, each value read as YAML, as Salt does."""
    arguments, keywords = [], {}
    for word in given:
        found = re.fullmatch(r"([^\d\W][\w.-]*)=(?!=)(.*)", word, re.DOTALL)
        if found:
            keywords[found[1]] = yaml.safe_load(found[2])
        else:
            arguments.append(yaml.safe_load(word))
    return arguments, keywords


def _check_call(name, arguments, keywords):
    """A function of vm_create exists and takes these arguments; those that are settings are good settings."""
    if name not in functions():
        raise CommandWrong(f"there is no function vm_create.{name}")
    try:
        bound = functions()[name].bind(*arguments, **keywords).arguments
    except TypeError as error:
        raise CommandWrong(f"vm_create.{name}: {error}") from None
    further = next((bound[key] for key in ("settings", "arguments") if key in bound), {})
    gather_settings([], {**further, "name": bound.get("name")})


@functools.cache
def functions(face="_modules/vm_create.py"):
    """``{name: signature}`` of what a face offers; read, for a test that imports Salt imports no other test afterwards."""
    tree = ast.parse((PROJECT / face).read_text(encoding="utf-8"))
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return {node.name.rstrip("_"): _signature(node.args) for node in defined}  # try_ is try to Salt


def _signature(arguments):
    """The signature that the arguments in a source make."""
    kind, plain = inspect.Parameter, [*arguments.posonlyargs, *arguments.args]
    needed = len(plain) - len(arguments.defaults)
    made = [
        kind(argument.arg, kind.POSITIONAL_OR_KEYWORD, default=kind.empty if at < needed else None)
        for at, argument in enumerate(plain)
    ]
    made += [kind(arguments.vararg.arg, kind.VAR_POSITIONAL)] if arguments.vararg else []
    made += [kind(argument.arg, kind.KEYWORD_ONLY, default=None) for argument in arguments.kwonlyargs]
    made += [kind(arguments.kwarg.arg, kind.VAR_KEYWORD)] if arguments.kwarg else []
    return inspect.Signature(made)


def _check_quickstart(words):
    if not words:
        return "quickstart"
    if words[0].startswith("-"):
        known = re.findall(r"^\s+(?:-h \| )?(--[a-z-]+)\)", (PROJECT / "quickstart").read_text(encoding="utf-8"), re.MULTILINE)
        if words[0] not in known or words[1:]:
            raise CommandWrong(f"quickstart has the options {known}, not {words}")
        return "quickstart"
    return check_salt(words)


@functools.cache
def groups():
    """The groups of tests."""
    return runpy.run_path(str(PROJECT / "tests/run.py"))["GROUPS"]


def _check_run_tests(words):
    split = words.index("--") if "--" in words else len(words)
    unknown = [word for word in words[:split] if word not in (*groups(), "--changed")]
    if unknown:
        raise CommandWrong(f"run-tests knows {' '.join(groups())} and --changed, not {unknown}")
    return "run-tests"


def _check_python(words):
    if words[:1] != ["-m"]:
        script = next(word for word in words if not word.startswith("-"))
        if not (PROJECT / script).is_file():
            raise CommandWrong(f"there is no {script}")
        return f"python {script}"
    try:
        spec = importlib.util.find_spec(words[1])
    except ModuleNotFoundError:
        spec = None
    if not spec:
        raise CommandWrong(f"there is no module {words[1]}")
    if "argparse" in inspect.getsource(importlib.import_module(words[1])):
        return _check_options([sys.executable, "-m", words[1]], words[2:], f"python -m {words[1]}")
    return f"python -m {words[1]}"


def _check_options(argv, words, what):
    """The program's own help names each option."""
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    unknown = {option for option in options if option not in re.findall(r"--[\w-]+", _help(*argv))}
    if unknown:
        raise CommandWrong(f"{what} has no {', '.join(sorted(unknown))}")
    return what


@functools.cache
def _help(*argv):
    done = subprocess.run([*argv, "--help"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandWrong(f"{argv}: {done.stderr}")
    return done.stdout


def _check_files(words):
    """Files of the project that a command names are there; what it makes itself, below states/wheels, is not."""
    for word in words:
        plain = word.removeprefix("./").removeprefix("../salt-ami-cloud-builder/")
        if plain.startswith(_TOPS) and not plain.startswith("states/wheels") and not (PROJECT / plain).exists():
            raise CommandWrong(f"there is no {plain}")
