"""``lightlab completion``: what completes lightlab's words in a shell.

The scripts hold all words themselves, so that a TAB starts no Python. They are made here, and not by a library such as
shtab, since most of the words are keys of a config, which no argparse parser has; and since fish is wanted, too.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lightlab.commands.options import OptionParser
from lightlab.commands.verbs import TRAINER_VERBS, VERBS
from lightlab.terminal import say

PARSER = OptionParser(
    "completion",
    usage="lightlab completion bash|zsh|fish [--plugin MODULE]",
    description="""Print a script that completes verbs, options, the keys of a config, and names. It knows what is
registered when it is made, plugins included; make it again when that has changed.

To install it, once:

  bash  lightlab completion bash > ~/.local/share/bash-completion/completions/lightlab
        (or in ~/.bashrc, without the package bash-completion: source FILE)
  zsh   lightlab completion zsh > ~/.zfunc/_lightlab
        (with 'fpath+=~/.zfunc; autoload -Uz compinit; compinit' in ~/.zshrc)
  fish  lightlab completion fish > ~/.config/fish/completions/lightlab.fish""",
)
PARSER.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")

YAML, CHECKPOINT, ANY = "yaml", "ckpt", "file"
ANY_VERB = "*"
#: What every verb takes.
COMMON = {"--plugin": "import a module that registers parts", "--debug": "show the traceback of an error",
          "--help": "say what the verb takes"}  # fmt: skip
#: The options whose values are files.
FILES = {"--config": YAML, "-c": YAML, "--ckpt_path": CHECKPOINT, "-o": ANY, "--output": ANY}


@dataclass(frozen=True)
class Words:
    """All that can be completed.

    Attributes:
        verbs: with what each does.
        options: of each verb, and of none, with what each is.
        keys: of a config, as options, with what each is.
        configured: the verbs that take the keys of a config.
        flags: the options that take no value.
        values: what options can be, by verb and option.
        words: what can follow a verb itself.
        files: the verbs that are followed by files, and of which sort.
    """

    verbs: Mapping[str, str]
    options: Mapping[str, Mapping[str, str]]
    keys: Mapping[str, str]
    configured: list[str]
    flags: Set[str]
    values: Mapping[tuple[str, str], list[str]]
    words: Mapping[str, list[str]]
    files: Mapping[str, str]


def run(arguments: list[str]) -> None:
    """Print the script for a shell."""
    shell = PARSER.parse_args(arguments).shell
    say({"bash": bash, "zsh": zsh, "fish": fish}[shell](gather()), end="")


def gather() -> Words:
    """Return all that can be completed: what verbs, signatures and registries say."""
    from lightlab.inspect.catalogue.find import all_parts
    from lightlab.inspect.catalogue.keys import keys, keys_of_parts
    from lightlab.inspect.catalogue.parts import KINDS
    from lightlab.signatures.words import first_sentence

    found = keys() | keys_of_parts()
    values = {(ANY_VERB, f"--{name}"): few for name, part in found.items() if (few := _values(part.signature))}
    values[ANY_VERB, "--data.class_path"] = list(KINDS["data"].parts())
    values[ANY_VERB, "--model.problem"] = list(KINDS["problems"].parts())
    values[ANY_VERB, "--ckpt_path"] = ["best", "last"]
    words = {"list": list(KINDS), "describe": sorted({part.name for part in all_parts()} | found.keys())}
    options: dict[str, dict[str, str]] = {"": {"--version": "print the version", **COMMON}}
    files: dict[str, str] = {}
    configured = list(TRAINER_VERBS)
    flags = {"--debug", "--help", "--print_config", "--version"}
    for verb in VERBS:
        if verb in TRAINER_VERBS:
            options[verb] = {"--config": "a config", "--print_config": "print the config, with all defaults", **COMMON}
            continue
        parser = import_module(f"lightlab.commands.{verb}").PARSER
        options[verb] = dict(COMMON)
        for action in parser._actions:  # as shtab and argcomplete do; argparse has no other way to ask
            for option in action.option_strings:
                options[verb][option] = action.help or ""
                flags |= {option} if action.nargs == 0 else set()
                if action.choices:
                    values[verb, option] = list(action.choices)
            if not action.option_strings and action.choices:
                words[verb] = list(action.choices)
        if "CONFIG" in parser.usage:
            options[verb] |= {"--config": "one more config"}
            configured.append(verb)
            files[verb] = f"{YAML} {CHECKPOINT}" if "CHECKPOINT" in parser.usage else YAML
        elif "PATH" in parser.usage or "RUN" in parser.usage:
            files[verb] = ANY
    about = {f"--{name}": first_sentence(part.docstring) for name, part in found.items()}
    return Words(VERBS, options, about, configured, flags, values, words, files)


def _values(signature: Any) -> list[str]:
    """Return what a key can be, where that is one of a few words."""
    kinds = [kind for each in signature.parameters for kind in _alternatives(each.type)]
    chosen = [str(value) for kind in kinds if typing.get_origin(kind) is typing.Literal
              for value in typing.get_args(kind)]  # fmt: skip
    return list(dict.fromkeys([*chosen, *(["true", "false"] if bool in kinds else [])]))


def _alternatives(kind: Any) -> Iterator[Any]:
    arguments = typing.get_args(kind)
    if (arguments and type(None) in arguments) or typing.get_origin(kind) is typing.Union:
        for each in arguments:
            yield from _alternatives(each)
    else:
        yield kind


#: What bash and zsh share: what can follow, by ``verb``, ``previous`` and ``current``.
ANSWERS = """_lightlab_answers() {
    case "$verb $previous" in
@VALUES@
    esac
    case $previous in
@FILES@
        --plugin) return ;;
        --*)
            if [[ $current != -* && " @FLAGS@ " != *" $previous "* ]]; then
                _lightlab_files file
                return
            fi ;;
    esac
    if [[ $current == -* ]]; then
        case $verb in
@OPTIONS@
        esac
        case $verb in
            @CONFIGURED@) _lightlab_offer "@KEYS@" ;;
        esac
        return
    fi
    case $verb in
@WORDS@
    esac
}
"""
BASH = """# Completes lightlab's words in bash; made by 'lightlab completion bash'.
_lightlab_offer() { compgen -W "$1" -- "$current"; }
_lightlab_files() {
    compgen -d -- "$current"
    case $1 in
        yaml) compgen -f -X '!*.yaml' -- "$current"; compgen -f -X '!*.yml' -- "$current" ;;
        ckpt) compgen -f -X '!*.ckpt' -- "$current"; compgen -f -X '!*.safetensors' -- "$current" ;;
        file) compgen -f -- "$current" ;;
    esac
}
@ANSWERS@
_lightlab() {
    # bash cuts words at = and : where COMP_WORDBREAKS has these; here they are whole again.
    local words=() word glue= index
    for ((index = 1; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ ${#words[@]} -gt 0 && (-n $glue || $word == [=:]*) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        if [[ $word == *[=:] ]]; then glue=1; else glue=; fi
    done
    local verb= previous= skip=
    for word in "${words[@]:0:${#words[@]}-1}"; do
        if [[ -z $verb && -z $skip && $word != -* ]]; then verb=$word; fi
        if [[ $word == --plugin ]]; then skip=1; else skip=; fi
        previous=$word
    done
    local typed=${words[${#words[@]} - 1]} prefix= breaks= shown= line
    local current=$typed
    if [[ $typed == --*=* ]]; then
        previous=${typed%%=*} prefix=${typed%%=*}= current=${typed#*=}
    fi
    # What stands before the last cut is there already, and is no part of an answer.
    if [[ $COMP_WORDBREAKS == *=* ]]; then breaks+='='; fi
    if [[ $COMP_WORDBREAKS == *:* ]]; then breaks+=':'; fi
    if [[ -n $breaks && $typed == *[$breaks]* ]]; then shown=${typed%"${typed##*[$breaks]}"}; fi
    COMPREPLY=()
    while IFS= read -r line; do
        line=$prefix$line
        COMPREPLY+=("${line#"$shown"}")
    done < <(_lightlab_answers | sort -u)
    if [[ ${#COMPREPLY[@]} -gt 0 && -e $shown${COMPREPLY[0]} ]]; then compopt -o filenames 2>/dev/null; fi
    return 0
}
complete -F _lightlab lightlab
"""
ZSH = """#compdef lightlab
# Completes lightlab's words in zsh; made by 'lightlab completion zsh'.
_lightlab_offer() { compadd -- ${=1}; }
_lightlab_files() {
    case $1 in
        yaml) _files -g '*.(yaml|yml)' ;;
        ckpt) _files -g '*.(ckpt|safetensors)' ;;
        file) _files ;;
    esac
}
@ANSWERS@
_lightlab() {
    local verb= previous= skip= word
    local current=$words[CURRENT]
    for word in $words[2,CURRENT-1]; do
        if [[ -z $verb && -z $skip && $word != -* ]]; then verb=$word; fi
        if [[ $word == --plugin ]]; then skip=1; else skip=; fi
        previous=$word
    done
    if [[ $current == --*=* ]]; then
        previous=${current%%=*} current=${current#*=}
        compset -P '*='
    fi
    _lightlab_answers
}
if [[ $funcstack[1] == _lightlab ]]; then _lightlab "$@"; else compdef _lightlab lightlab; fi
"""


def bash(words: Words) -> str:
    """Return the script for bash."""
    return BASH.replace("@ANSWERS@", _answers(words))


def zsh(words: Words) -> str:
    """Return the script for zsh, to be autoloaded or sourced."""
    return ZSH.replace("@ANSWERS@", _answers(words))


def _answers(words: Words) -> str:
    def offer(found: Iterable[str]) -> str:
        return f'_lightlab_offer "{" ".join(found)}"'

    def files(sorts: str) -> str:
        return "; ".join(f"_lightlab_files {sort}" for sort in sorts.split())

    values = []
    for (verb, option), found in words.values.items():
        pattern = f'*" {option}"' if verb == ANY_VERB else f'"{verb} {option}"'
        more = f"; {files(FILES[option])}" if option in FILES else ""
        values.append(f"{pattern}) {offer(found)}{more}; return ;;")
    following = [f"{verb}) {offer(found)} ;;" for verb, found in words.words.items()]
    following += [f"{verb}) {files(sorts)} ;;" for verb, sorts in words.files.items()]
    parts = {
        "VALUES": _lines(8, values),
        "FILES": _lines(8, (f"{option}) {files(sort)}; return ;;" for option, sort in FILES.items())),
        "FLAGS": " ".join(sorted(words.flags)),
        "OPTIONS": _lines(12, (f"{verb or chr(39) * 2}) {offer(found)} ;;" for verb, found in words.options.items())),
        "CONFIGURED": "|".join(words.configured),
        "KEYS": " ".join(words.keys),
        "WORDS": _lines(8, [f"'') {offer(words.verbs)} ;;", *following]),
    }
    return re.sub("@([A-Z]+)@", lambda found: parts[found[1]], ANSWERS)


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)


def fish(words: Words) -> str:
    """Return the script for fish."""
    lines = ["# Completes lightlab's words in fish; made by 'lightlab completion fish'.", "complete -c lightlab -f"]
    none = "-n __fish_use_subcommand"
    lines += [f"complete -c lightlab {none} -a {verb} -d {_quote(about)}" for verb, about in words.verbs.items()]
    for verb, options in words.options.items():
        where = f"-n '__fish_seen_subcommand_from {verb}'" if verb else none
        lines += [_fish_option(words, verb, where, option, about) for option, about in options.items()]
    where = f"-n '__fish_seen_subcommand_from {' '.join(words.configured)}'"
    lines += [_fish_option(words, ANY_VERB, where, option, about) for option, about in words.keys.items()]
    for verb, found in words.words.items():
        lines.append(f"complete -c lightlab -n '__fish_seen_subcommand_from {verb}' -a {_quote(' '.join(found))}")
    for verb, sorts in words.files.items():
        for sort in sorts.split():
            lines.append(f"complete -c lightlab -n '__fish_seen_subcommand_from {verb}' {FISH_FILES[sort]}")
    return "\n".join(lines) + "\n"


FISH_FILES = {YAML: "-k -a '(__fish_complete_suffix .yaml .yml)'",
              CHECKPOINT: "-k -a '(__fish_complete_suffix .ckpt .safetensors)'",
              ANY: "-F"}  # fmt: skip


def _fish_option(words: Words, verb: str, where: str, option: str, about: str) -> str:
    name = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
    values = words.values.get((verb, option)) or words.values.get((ANY_VERB, option))
    if option in words.flags:
        value = ""
    elif values:
        value = f" -x -a {_quote(' '.join(values))}"
    elif option == "--plugin":
        value = " -x"
    else:
        value = f" -r {FISH_FILES[FILES.get(option, ANY)]}"
    return f"complete -c lightlab {where} {name} -d {_quote(about)}{value}"


def _quote(text: str) -> str:
    """Return a text in fish's quotation marks."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
