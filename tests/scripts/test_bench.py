"""scripts/bench: small benches run for real; tables, page and networks are what they are said to be."""

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TASKS = ("mlp", "cnn", "digits", "resnet18")


@pytest.fixture
def bench(monkeypatch):
    """The modules of scripts/benchmarks."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    names = ("jobs", "processes", "rounds", "tables", "page", "growth", "data", "contestants.table")
    names += ("contestants.torch_parts", "contestants.hand", "contestants.lightlab_cli")
    modules = {name.split(".")[-1]: importlib.import_module(f"benchmarks.{name}") for name in names}
    yield SimpleNamespace(**modules)
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


def measurement(bench, epoch_seconds, seconds=10.0, memory=100.0, accuracy=0.5):
    finished = bench.processes.Finished(0, seconds, seconds, memory, "")
    return bench.rounds.Measurement(finished, bench.jobs.Outcome(epoch_seconds, accuracy))


def call(*arguments):
    return subprocess.run([sys.executable, str(SCRIPTS / "bench"), *arguments], capture_output=True, text=True)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_smallest_bench_runs_and_fills_the_page(tmp_path):
    """The hand-written loop and lightlab's CLI train for real; the table stands in the page between its marks."""
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- bench: steady mlp cpu -->\nold\n<!-- end: steady mlp cpu -->\n\nThe rest.\n")
    small = ("--tasks", "mlp", "--rounds", "1", "--epochs", "2", "--rows", "512", "--contestants", "lightlab")
    done = call(*small, "--write", str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert text.startswith("# Page")
    assert text.endswith("The rest.\n")
    assert "old" not in text
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert [row[0] for row in rows[2:]] == ["hand-written loop", "lightlab"]
    assert rows[2][2] == rows[2][4] == "1.00"
    for row in rows[2:]:
        assert all(float(cell.replace(",", "")) > 0 for cell in row[1:])
    assert "lightlab 0." in text


def test_whole_commands_validate_and_stop_early(tmp_path):
    """Whole commands of the digits end by patience or at the last epoch, with an accuracy that was learned."""
    done = call("--whole", "--tasks", "digits", "--rounds", "1", "--epochs", "3", "--contestants", "lightlab")
    assert done.returncode == 0, done.stderr
    rows = [cells(line) for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows[0][-2:] == ["epochs", "accuracy"]
    for row in rows[2:]:
        assert row[-2] == "3"
        assert float(row[-1]) > 0.5


def test_unknown_contestant_is_refused():
    """A pattern that matches nobody is answered with all names."""
    done = call("--contestants", "kears-*")
    assert done.returncode == 2
    assert "keras-jax" in done.stderr
    assert "kears-*" in done.stderr


def test_who_fails_is_shown_and_takes_no_further_part(bench, tmp_path, capsys):
    """A contestant that can't run is tried once, what it said is shown, and its row says failed."""
    task = bench.jobs.Task("tiny", "Tiny", "mlp", 64, (4,), 2, 32, 2, 2, 1, 16, (4,))
    broken = bench.table.Contestant("sklearn", "broken", "no_such_module")
    runner = bench.rounds.Bench(tmp_path)
    with runner.data(task) as data:
        two = [bench.table.CONTESTANTS["hand"], broken]
        results = runner.rounds(two, 2, lambda contestant, turn: runner.job(task, data, 2, seed=turn))
    assert [len(results[name]) for name in ("hand", "sklearn")] == [2, 0]
    said = capsys.readouterr().err
    assert said.count("no_such_module") == 1
    text = bench.tables.steady(task, results)
    assert cells(text.splitlines()[-1])[1:] == ["failed", "–", "failed", "–"]
    assert list(tmp_path.iterdir()) == []


def test_ratios_are_medians_within_rounds(bench):
    """A round in which the whole machine was slow falls on both; the first half of the epochs does not count."""
    task = bench.jobs.TASKS["mlp"]
    base = [measurement(bench, [9.0, 1.0]), measurement(bench, [9.0, 10.0]), measurement(bench, [9.0, 1.0])]
    own = [measurement(bench, [9.0, 0.5]), measurement(bench, [9.0, 5.0]), measurement(bench, [9.0, 3.0])]
    lines = bench.tables.steady(task, {"hand": base, "lightlab": own}).splitlines()
    assert cells(lines[2])[1:3] == [f"{1e6 / 391:,.0f}", "1.00"]
    assert cells(lines[3])[1:3] == [f"{3e6 / 391:,.0f}", "0.50"]


def test_accuracies_are_compared_over_seeds(bench):
    """The difference of the means comes with the standard error of it."""
    task = bench.jobs.TASKS["mlp"]
    base = [measurement(bench, [1.0], accuracy=value) for value in (0.80, 0.82)]
    own = [measurement(bench, [1.0], accuracy=value) for value in (0.81, 0.83)]
    lines = bench.tables.accuracies(task, 5, {"hand": base, "lightlab": own}).splitlines()
    assert cells(lines[2])[1:] == ["0.8100 ± 0.0100", "–"]
    assert cells(lines[3])[1:] == ["0.8200 ± 0.0100", "+0.0100 ± 0.0141"]


def test_page_without_marks_gets_them_at_its_end(bench):
    """A table of a new name is added, and found again the next time."""
    page = bench.page.fill("# Page\n", "ranks", "first")
    assert bench.page.fill(page, "ranks", "second") == page.replace("first", "second")


def test_a_job_survives_its_file(bench, tmp_path):
    """What another process reads is the job that was written."""
    options = {"arguments": ["--compile=true"]}
    job = bench.jobs.Job(bench.jobs.TASKS["cnn"], "data", str(tmp_path), 3, patience=4, options=options)
    assert bench.jobs.Job.read(job.write()) == job


def test_commands_run_on_a_terminal(tmp_path):
    """A progress bar is drawn as people have it; memory is that of the command alone.

    In a process of its own: what is started by a large one counts as large.
    """
    command = [sys.executable, "-c", "import sys; print(sys.stdout.isatty()); kept = bytearray(2**26); sys.exit(3)"]
    script = "import sys, pathlib; from benchmarks.processes import run; done = run(sys.argv[1:], pathlib.Path(), {})"
    script += "; print(done.said.strip(), done.code, done.peak_mib, done.seconds > 0)"
    said = subprocess.check_output([sys.executable, "-c", script, *command], env={"PYTHONPATH": str(SCRIPTS)})
    terminal, code, memory, seconds = said.decode().split()
    assert (terminal, code, seconds) == ("True", "3", "True")
    assert 64 < float(memory) < 160


@pytest.mark.parametrize("name", TASKS)
def test_all_train_the_same_network(bench, name):
    """lightlab's layers have as many parameters as the hand-written network, and both take the data."""
    import torch

    from lightlab import build_network

    task = bench.jobs.TASKS[name]
    by_hand = bench.torch_parts.network(task).eval()
    layers, shape = build_network(bench.lightlab_cli.model(task)["layers"], task.shape)
    head = (shape[0] + 1) * task.classes
    built, written = (sum(each.numel() for each in model.parameters()) for model in (layers, by_hand))
    assert built + head == written
    assert by_hand(torch.zeros(2, *task.shape)).shape == (2, task.classes)


def test_data_are_noisy_and_learnable_splits(bench):
    """Each split has its rows; images as bytes are what they are in numbers."""
    task = bench.jobs.TASKS["resnet18"]
    small = replace(task, rows=50, val_rows=20)
    splits = bench.data.splits(small)
    assert [splits[split][0].shape for split in ("train", "val")] == [(50, 3, 32, 32), (20, 3, 32, 32)]
    assert splits["train"][0].dtype == "uint8"
    assert 100 < splits["train"][0].mean() < 156
    assert not (splits["train"][0][:20] == splits["val"][0]).all()


def test_hand_written_augmentation_moves_whole_images(bench):
    """Every image keeps its size and type, and its middle is found again, flipped or not, a few pixels away."""
    import torch

    torch.manual_seed(0)
    image = torch.arange(3 * 32 * 32).reshape(1, 3, 32, 32) % 251
    images = image.to(torch.uint8).repeat(8, 1, 1, 1)
    changed = bench.hand.augment(images)
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    padded = torch.nn.functional.pad(images[0], [4] * 4)
    parts = [padded[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    assert all(any(part.equal(one) or part.flip(-1).equal(one) for part in parts) for one in changed)


def test_growth_has_the_sizes_of_the_issue(bench):
    """Rows, features and parameters grow by factors of ten, as far as they should."""
    found = list(bench.growth.series())
    sizes = {name: [size for series, size, _ in found if series == name] for name in ("rows", "features", "parameters")}
    assert sizes["rows"] == [10**power for power in range(3, 8)]
    assert sizes["features"] == [10**power for power in range(1, 5)]
    assert sizes["parameters"] == [10**power for power in range(3, 9)]
    for series, size, task in found:
        if series == "parameters":
            width = task.units[0]
            assert size / 1.1 < (width + 22) * width < size * 1.1
        if series == "rows":
            assert task.rows == size


def test_growth_is_drawn(bench, tmp_path):
    """The chart is a picture with every series, and the table says who failed."""
    points = [bench.growth.Point("rows", size, "hand", 1.0, 100.0) for size in (10, 100)]
    points.append(bench.growth.Point("rows", 10, "lightlab", 2.0, 150.0))
    bench.growth.plot(points, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    lines = bench.growth.as_table(points).splitlines()
    assert cells(lines[2]) == ["10 rows", "1", "2", "100", "150"]
    assert cells(lines[3]) == ["100 rows", "1", "failed", "100", "–"]
