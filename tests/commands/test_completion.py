"""lightlab completion: the script for bash in a bash; those for zsh and fish where these are installed."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lightlab.cli import WRONG_INPUT, main
from lightlab.commands.completion import bash, fish, gather, zsh
from lightlab.commands.verbs import VERBS


@pytest.fixture(scope="module")
def words():
    return gather()


@pytest.fixture
def complete(words):
    """Return a function that presses TAB in bash after some words, cut as bash cuts them."""
    Path("lightlab.bash").write_text(bash(words))

    def press(*typed, breaks=" =:"):
        array = " ".join(map(shlex.quote, ("lightlab", *typed)))
        script = (
            f"source lightlab.bash; COMP_WORDBREAKS={shlex.quote(breaks)}; COMP_WORDS=({array}); "
            f"COMP_CWORD={len(typed)}; _lightlab; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        finished = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert (finished.returncode, finished.stderr) == (0, "")
        return finished.stdout.split()

    return press


def test_bash(complete):
    """Verbs, options, keys, values, names and files, as bash gives the words: cut at = and :."""
    for name in ("a.yaml", "b.yml", "c.ckpt", "d.csv"):
        Path(name).touch()
    assert set(complete("")) == set(VERBS)
    assert complete("pred") == ["predict"]
    assert complete("--plugin", "fit", "des") == ["describe"]
    assert complete("fit", "--trainer.max_e") == ["--trainer.max_epochs"]
    assert "--data.path" in complete("check", "--data.p")
    assert complete("list", "--data.p") == []
    assert complete("fit", "--config", "") == ["a.yaml", "b.yml"]
    assert complete("fit", "--config", "=", "a") == ["a.yaml"]
    assert complete("summary", "") == ["a.yaml", "b.yml", "c.ckpt"]
    assert complete("fit", "--ckpt_path", "") == ["best", "c.ckpt", "last"]
    assert complete("init", "d") == ["d.csv"]
    assert complete("list", "la") == ["layers"]
    assert complete("describe", "trainer.max_ep") == ["trainer.max_epochs"]
    assert complete("describe", "EarlyS") == ["EarlyStopping"]
    assert complete("summary", "--format", "m") == ["markdown"]
    assert complete("fit", "--trainer.accelerator", "c") == ["cpu", "cuda"]
    assert complete("fit", "--trainer.accelerator", "=", "c") == ["cpu", "cuda"]
    assert complete("fit", "--trainer.accelerator=c", breaks=" ") == [
        f"--trainer.accelerator={x}" for x in ("cpu", "cuda")
    ]
    assert complete("completion", "f") == ["fish"]


def test_bash_completes_files_with_a_colon(complete):
    """What stands before the colon is there already."""
    Path("a:b.yaml").touch()
    assert complete("fit", "--config", "a", ":", "b") == ["b.yaml"]


def test_scripts_parse(words):
    """bash reads its own script; that for zsh, which keeps to what both know; and every line for fish is one call."""
    for script in (bash(words), zsh(words)):
        assert "@" not in script.replace('"$@"', "").replace("[@]", "")
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    for line in fish(words).replace("\\'", "").splitlines()[1:]:
        assert shlex.split(line)[:3] == ["complete", "-c", "lightlab"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed, and no package of Python brings it")
def test_zsh(words):
    """zsh reads its script."""
    subprocess.run(["zsh", "-n"], input=zsh(words), text=True, check=True)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed, and no package of Python brings it")
def test_fish(words):
    """fish completes a key."""
    script = f"{fish(words)}\ncomplete -C 'lightlab fit --trainer.max_ep'"
    found = subprocess.run(["fish"], input=script, capture_output=True, text=True, check=True)
    assert "--trainer.max_epochs" in found.stdout


def test_the_verb(capsys):
    """It prints a script for each shell, its help says how to install it, and another shell is refused."""
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        assert f"made by 'lightlab completion {shell}'" in capsys.readouterr().out
    assert main(["completion", "--help"]) == 0
    assert "~/.config/fish/completions/lightlab.fish" in capsys.readouterr().out
    assert main(["completion", "csh"]) == WRONG_INPUT
