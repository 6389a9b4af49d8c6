"""The command line: what it lists, what it refuses in one line, and what a command leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minilocal as ml
from minilocal import cli, record
from tests.helpers.small_run import SMALL


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's folder."""
    out = tmp_path_factory.mktemp("trained") / "run"
    assert cli.main(["train", *SMALL, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_alone_it_lists_its_commands(minilocal, words):
    status, out, err = minilocal(*words)
    assert status == 0 and err == ""
    assert all(f"  {name} " in out for name in ("demo", "train", "predict", "verify", "data", "doctor"))


def test_the_list_costs_numpy_and_nothing_else():
    """Half a second is what NumPy takes; no command, no msgspec, no matplotlib is imported to print the list."""
    code = (
        "import sys; from minilocal import cli; cli.main([]);"
        "print([m for m in ('msgspec', 'matplotlib', 'tqdm', 'argparse', 'ssl', 'email', 'tomllib', 'minilocal.train', "
        "'minilocal.cli.train') if m in sys.modules], file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stderr.strip() == "[]"


def test_python_m_is_the_same_command():
    environment = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1])}
    command = [sys.executable, "-m", "minilocal", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout == f"minilocal {ml.__version__}\n" and done.returncode == 0


@pytest.mark.parametrize("command", ["train", "predict", "data", "doctor"])
def test_every_command_has_help(minilocal, command):
    with pytest.raises(SystemExit) as end:
        minilocal(command, "--help")
    assert end.value.code == 0


def test_the_help_of_train_names_every_flag(capsys):
    from minilocal.config import FLAGS

    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = capsys.readouterr().out
    assert all(flag in text for flag in [*FLAGS, "--resume", "--config", "--preset", "--set"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "command 'trian' is not known; did you mean 'train'?"),
        ("train --epocs 5", "flag --epocs is not known; did you mean '--epochs'?"),
        ("train --epoch=5", "flag --epoch is not known; did you mean '--epochs'?"),
        ("train --epochs", "--epochs: expected one argument"),
        ("train --epochs ten", "optim.epochs = 'ten' (--epochs): expected int"),
        ("train --epochs 0", "optim.epochs = 0 (--epochs): expected int >= 1"),
        ("train extra", "'extra' is one word too many"),
        ("train --rule backlnk", "did you mean 'backlink'"),
        ("train --net resnt20", "did you mean 'resnet20'"),
        ("train --net resnet21", "6m + 2"),
        ("train --dataset digts", "did you mean 'digits'"),
        ("train --dataset npz:none.npz", "none.npz does not exist"),
        ("train --dataset folder:none", "none does not exist; lay it out as PATH/train/CLASS"),
        ("train --dataset cifar10-lt --no-download --data-dir nowhere", "cifar10 was not found in"),
        ("data stl10 --no-download --data-dir nowhere", "looked for stl10_binary/, stl10_binary.tar.gz"),
        ("data mnist --no-download --data-dir nowhere", "looked for mnist/train-images-idx3-ubyte.gz"),
        ("train --modules 99", "K = 99 modules for a network of 10 units"),
        ("train --modules 4,4", "hold 8 together, the network has 10"),
        ("train --alpha 1.5", "outside [0, 1]"),
        ("train --alpha half", "alpha"),
        ("train --length -1", "length"),
        ("train --aux 9c9f", "9c9f"),
        ("train --weighting odd", "did you mean 'unfolded'|Known: literal, unfolded"),
        ("train --lr 0", "optim.lr = 0 (--lr): expected float > 0"),
        ("train --schedule cosin", "did you mean 'cosine'"),
        ("train --momentum 2", "optim.momentum = 2 (--momentum)"),
        ("train --weight-decay -1", "optim.weight_decay"),
        ("train --batch-size 0", "optim.batch_size"),
        ("train --limit-train 99999", "99999"),
        ("train --limit-test none", "data.limit_test = 'none'"),
        ("train --seed -1", "run.seed = -1"),
        ("train --device gpu", "device 'gpu' is not known"),
        ("train --dtype float16", "one of float32, float64"),
        ("train --threads x", "run.threads = 'x'"),
        ("train --kernels nunba", "run.kernels = 'nunba' (--kernels): expected one of numpy, numba, auto"),
        ("simulate --kernels nunba", "kernels 'nunba' is not known; did you mean 'numba'?"),
        ("verify --kernels nunba", "kernels 'nunba' is not known; did you mean 'numba'?"),
        ("bench --kernels nunba", "bench: --kernels 'nunba' is not known; did you mean 'numba'?"),
        ("sweep --kernels numpy,numba --seeds 0", "run.kernels names the machine"),
        ("train --processes 5", "run.processes = 5 (--processes) met net.modules = 4: a process needs a module"),
        ("train --set optim.epocs=3", "did you mean 'epochs'"),
        ("train --set epochs", "is not table.key=value"),
        ("train --config none.toml", "none.toml: No such file"),
        ("train --preset backlink", "did you mean 'backlink-"),
        ("train --resume nowhere", "nowhere is no run folder"),
        ("train --resume=", "--resume is empty"),
        ("train --rule gll --alpha 0.5", "rule.alpha (--alpha): gll has no such option"),
        ("train --dataset cifar10 --no-download --data-dir nowhere", "/nowhere"),
        ("predict", "the following arguments are required: RUN"),
        ("predict nowhere", "nowhere is no run folder"),
        ("data digts", "did you mean 'digits'"),
        ("data --sheet a.png", "--sheet needs the name of a data set"),
        ("data --no-download", "--no-download needs the name of a data set"),
        ("bench --rounds 3,5", "--rounds '3,5': give one number"),
        ("memory --device cuda:abc", "device 'cuda:abc' is not known"),
        ("data digits --sheet no/a.png", "there is no folder"),
        ("data digits --sheet x.foo", "end it in one of png, svg"),
        ("data nosuch --sheet png", "end it in one of png, svg"),
        ("doctor --now", "flag --now is not known"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(minilocal, words, message):
    status, _, err = minilocal(*words.split())
    assert status == 2
    assert err.count("\n") == 1 and err.startswith("minilocal: "), err
    assert any(part in err for part in message.split("|")), err
    assert not Path("runs").exists()


def test_no_cupy_is_one_line_with_the_pip_line(minilocal, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    status, _, err = minilocal("train", "--device", "cuda")
    assert status == 2 and err.count("\n") == 1 and "pip install -e '.[cuda12]'" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a file that is always full")
def test_an_output_that_is_full_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "minilocal", "--version"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and done.stderr.decode().count("\n") == 1 and b"no space left" in done.stderr


def test_what_is_nobodys_mistake_keeps_its_traceback(minilocal, monkeypatch):
    def broken(*words):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(cli, "_dispatch", broken)
    with pytest.raises(RuntimeError):
        minilocal("train")


def test_train_prints_a_line_an_epoch_and_where_everything_is(minilocal, tmp_path):
    status, out, err = minilocal("train", *SMALL)
    assert status == 0 and err == ""
    first, row, last = out.splitlines()
    assert first == "run folder runs/backlink-mlp-digits-seed0"
    assert row.startswith("epoch   1  lr 0.01  losses ")
    assert last.endswith("everything is in runs/backlink-mlp-digits-seed0")
    assert json.loads((tmp_path / "runs/backlink-mlp-digits-seed0/config.json").read_text())["optim"]["lr"] == 0.01


def test_a_file_is_overridden_by_flags(minilocal, tmp_path):
    (tmp_path / "run.toml").write_text('[rule]\nname = "backlink"\nalpha = 0.25\n[optim]\nlr = 1.0\n')
    assert minilocal("train", *SMALL, "--config", "run.toml", "--rule", "gll", "--out", "r")[2] == (
        "minilocal: rule.alpha = 0.25 is dropped: gll (--rule) has no such option.\n"
    )
    tables = record.config("r")
    assert tables["rule"] == {"name": "gll", "aux": "0c1f"} and tables["optim"]["lr"] == 0.01


def test_an_existing_run_is_not_overwritten(minilocal, trained):
    before = (trained / "checkpoint.npz").read_bytes()
    status, _, err = minilocal("train", *SMALL, "--out", str(trained))
    assert status == 2 and "holds a run already" in err and f"--resume {trained}" in err
    assert (trained / "checkpoint.npz").read_bytes() == before


def test_resuming_agrees_or_is_refused(minilocal, trained):
    again = ["train", *SMALL, "--resume", str(trained)]
    status, out, _ = minilocal(*again, "--out", str(trained))
    assert status == 0 and "is finished: 1 of 1 epochs" in out
    status, _, err = minilocal(*again, "--lr", "0.02")
    assert status == 2 and "optim.lr = 0.02 (--lr) does not agree" in err and err.count("\n") == 1
    status, _, err = minilocal(*again, "--out", "elsewhere")
    assert status == 2 and "stays in its folder" in err


def test_a_locked_folder_is_one_line(minilocal, trained):
    with record.RunFolder(trained):
        status, _, err = minilocal("train", "--resume", str(trained))
    assert status == 2 and f"in use by process {os.getpid()}" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--out", "mine"], "mine is no run and not empty (notes is there): choose another --out."),
        (["--out", "run"], "run holds a run already: go on with --resume run, or choose another --out."),
        (["--out", "begun"], f"begun is in use by process {os.getpid()} on "),
        (["--resume", "run"], f"run is in use by process {os.getpid()} on "),
    ],
    ids=["not empty", "a run", "begun", "resumed"],
)
def test_a_folder_that_is_taken_is_refused_before_any_rank_starts(minilocal, trained, monkeypatch, words, line):
    import shutil

    from minilocal.parallel.launcher import launch

    monkeypatch.setattr(launch, "relaunch", lambda *of_ranks: pytest.fail("ranks were started"))
    Path("mine").mkdir()
    Path("mine", "notes").touch()
    Path("begun").mkdir()
    shutil.copytree(trained, "run")
    with record.RunFolder("begun"), record.RunFolder("run"):
        status, out, err = minilocal("train", *(SMALL if "--out" in words else ()), "--processes", "2", *words)
    assert (status, out) == (2, "") and err.startswith(f"minilocal: {line}") and err.count("\n") == 1


def test_a_damaged_checkpoint_is_one_line(minilocal, trained, tmp_path):
    import shutil

    run = shutil.copytree(trained, tmp_path / "run")
    (run / "checkpoint.npz").write_bytes(b"PK\x03\x04 and no more")
    for words in (["train", "--resume", "run"], ["predict", "run"]):
        status, _, err = minilocal(*words)
        assert status == 2 and "checkpoint.npz cannot be read" in err and err.count("\n") == 1


def test_a_read_only_folder_is_one_line(minilocal, monkeypatch):
    """As root nothing is read-only, so the operating system's answer is played here."""
    import errno

    def mkdir(self, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    status, _, err = minilocal("train", *SMALL, "--out", "there")
    assert status == 2 and "there: Read-only file system" in err and "--out" in err and err.count("\n") == 1


def test_ctrl_c_saves_says_how_to_go_on_and_ends_with_130(minilocal, monkeypatch):
    real = ml.Learner.step

    def step(self, x, y, lr):
        os.kill(os.getpid(), signal.SIGINT)
        return real(self, x, y, lr)

    with monkeypatch.context() as patch:
        patch.setattr(ml.Learner, "step", step)
        status, _, err = minilocal("train", *SMALL, "--out", "r")
    assert status == 130
    assert err == (
        "minilocal: stopped after 0 of 1 epochs and 1 of 3 steps, and saved. Go on with: minilocal train --resume r\n"
    )
    status, out, _ = minilocal("train", "--resume", "r")
    assert status == 0 and out.startswith("r goes on after 0 of 1 epochs and 1 of 3 steps")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("steps", "line"),
    [
        (2, "stopped; nothing had been saved in a run"),
        (4, "stopped; the last checkpoint is in a run: go on with minilocal train --resume 'a run'"),
    ],
)
def test_a_second_signal_acts_at_once_and_names_the_last_checkpoint(minilocal, monkeypatch, number, steps, line):
    real, taken = ml.Learner.step, []

    def step(self, x, y, lr):
        taken.append(1)
        if len(taken) == steps:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), number)
        return real(self, x, y, lr)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background ignores it
    try:
        monkeypatch.setattr(ml.Learner, "step", step)
        status, _, err = minilocal("train", *SMALL, "--epochs", "2", "--out", "a run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (status, err) == (128 + number, f"minilocal: {line}\n")
    assert len(taken) == steps and not Path("a run", "lock").exists()


def test_predict_gives_the_recorded_error_and_every_class(minilocal, trained):
    status, out, _ = minilocal("predict", str(trained))
    assert status == 0
    assert f"error {record.rows(trained)[-1]['test_error']:.2f} %" in out
    with np.load(trained / "predictions.npz") as saved:
        wrong = saved["predictions"] != saved["labels"]
        assert 100 * wrong.mean() == record.rows(trained)[-1]["test_error"]
        for c in range(10):
            share = 100 * wrong[saved["labels"] == c].mean()
            assert any(line.split()[:1] == [str(c)] and f"{share:.2f}" in line for line in out.splitlines())


def test_predict_gives_probabilities_confusions_and_every_modules_error(minilocal, trained):
    status, out, _ = minilocal("predict", str(trained), "--out", "p.npz")
    local = record.rows(trained)[-1]["local_errors"]
    assert status == 0 and f"first to last:\n {local[0]:.2f}  {local[1]:.2f}\n" in out
    with np.load("p.npz") as saved:
        p, labels, predictions, counts = (saved[k] for k in ("probabilities", "labels", "predictions", "confusion"))
        assert saved["local_errors"].tolist() == local
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(p.argmax(axis=1), predictions)
    expected = np.zeros((10, 10), int)
    for label, taken_for in zip(labels, predictions, strict=True):
        expected[label, taken_for] += 1
    np.testing.assert_array_equal(counts, expected)
    printed = [line.split() for line in out.splitlines()[-10:]]
    assert printed == [[str(c), *(str(n or ".") for n in row)] for c, row in enumerate(expected.tolist())]


def test_predictions_replace_predictions_only(minilocal, trained):
    checkpoint, run = (trained / "checkpoint.npz").read_bytes(), str(trained)
    status, _, err = minilocal("predict", run, "--out", f"{run}/checkpoint.npz")
    assert status == 2 and err.endswith(
        "checkpoint.npz is there already, and holds no predictions: choose another --out.\n"
    )
    assert (trained / "checkpoint.npz").read_bytes() == checkpoint
    assert minilocal("export", run, "--out", "weights.npz")[0] == 0
    exported = Path("weights.npz").read_bytes()
    assert minilocal("predict", "weights.npz", "--out", "weights.npz")[0] == 2
    assert Path("weights.npz").read_bytes() == exported
    assert [minilocal("predict", "weights.npz", "--out", "p.npz")[0] for _ in range(2)] == [0, 0]


def test_a_confusion_matrix_of_many_classes_is_kept_and_not_printed(minilocal, tmp_path):
    y = np.arange(26) % 13
    x = np.zeros((26, 8, 8, 1), np.uint8) + y[:, None, None, None].astype(np.uint8)
    np.savez("mine.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    mine = ["--net", "mlp", "--modules", "2", "--epochs", "1", "--dataset", "npz:mine.npz"]
    assert minilocal("train", *mine, "--out", "r")[0] == 0
    status, out, _ = minilocal("predict", "r")
    assert status == 0 and "taken for\n " not in out
    with np.load("r/predictions.npz") as saved:
        assert saved["confusion"].shape == (13, 13) and saved["confusion"].sum() == 26


def test_predict_where_no_module_but_the_last_has_a_classifier(minilocal):
    assert minilocal("train", *SMALL, "--rule", "bp", "--out", "r")[0] == 0
    status, out, _ = minilocal("predict", "r")
    assert status == 0 and "own classifier" not in out
    with np.load("r/predictions.npz") as saved:
        assert np.isnan(saved["local_errors"]).tolist() == [True, False]


def test_pictures_that_are_not_square_are_trained_on_and_predicted(minilocal, tmp_path):
    """A run of `folder:`, from the shell; its checkpoint says the two sides."""
    image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")
    rng = np.random.default_rng(0)
    for n in range(24):
        path = Path("photos", "train" if n % 3 else "test", ("cat", "owl")[n % 2], f"{n}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)).save(path)
    options = [
        "--net",
        "resnet8",
        "--modules",
        "2",
        "--epochs",
        "1",
        "--batch-size",
        "8",
        "--augment",
        "--threads",
        "1",
    ]
    status, _, err = minilocal("train", *options, "--rule", "infopro", "--dataset", "folder:photos")
    assert status == 0, err
    run = "runs/infopro-resnet8-photos-seed0"
    status, out, _ = minilocal("predict", run)
    assert status == 0 and f"8 images of the test set of folder:{Path('photos').absolute()}" in out
    x = rng.integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    np.savez("bytes.npz", x=x)
    np.savez("floats.npz", x=(x / 255).astype("float32"), range=[0, 1])
    np.savez("square.npz", x=x[:, :, :8])
    for name in ("bytes", "floats"):
        assert minilocal("predict", run, "--images", f"{name}.npz", "--out", f"{name}-p.npz")[0] == 0
    with np.load("bytes-p.npz") as p, np.load("floats-p.npz") as q:
        np.testing.assert_array_equal(p["probabilities"], q["probabilities"])
    status, _, err = minilocal("predict", run, "--images", "square.npz")
    assert status == 2 and "the images are 8×8×3, but the network was trained on" in err and ": 8×12×3." in err
    assert minilocal("data", "folder:photos", "--sheet", "sheet.png")[0] == 0


def test_predict_takes_your_images(minilocal, trained, tmp_path):
    digits = ml.data.load("digits")
    x, y = digits.test_x[:7], digits.test_y[:7]
    np.savez("with.npz", x=x, y=y)
    np.savez("without.npz", x=x[..., 0])
    status, out, _ = minilocal("predict", str(trained), "--images", "with.npz", "--out", "p.npz")
    assert status == 0 and "7 images of with.npz: error" in out
    status, out, _ = minilocal("predict", str(trained), "--images", "without.npz", "--out", "q.npz")
    assert status == 0 and "no labels" in out
    with np.load("p.npz") as p, np.load("q.npz") as q:
        np.testing.assert_array_equal(p["predictions"], q["predictions"])
        assert "labels" in p and "labels" not in q


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 8, 8, 1), np.uint8)}, "8×8×1"),
        ({"x": np.zeros((2, 16, 16, 1))}, "float64"),
        ({"x": np.zeros((2, 16, 16, 1), np.uint8), "y": np.array([0, 10])}, "the label 10"),
        ({"x": np.zeros((2, 16, 16, 1), np.uint8), "y": np.array([0])}, "y has shape (1,), but 2 images"),
        ({"x": np.zeros((2, 16, 16, 1), np.uint8), "y": np.array([0.5, 1])}, "integers"),
        ({"images": np.zeros((2, 16, 16, 1), np.uint8)}, "holds no images"),
        (None, "cannot be read"),
    ],
)
def test_predict_refuses_images_that_do_not_fit(minilocal, trained, arrays, message):
    if arrays is None:
        Path("x.npz").write_bytes(b"no archive")
    else:
        np.savez("x.npz", **arrays)
    status, _, err = minilocal("predict", str(trained), "--images", "x.npz")
    assert status == 2 and message in err and err.count("\n") == 1


def test_predict_says_of_a_picture_that_it_is_no_npz_file(minilocal, trained):
    Path("x.png").write_bytes(b"\x89PNG" + bytes(100))
    status, _, err = minilocal("predict", str(trained), "--images", "x.png")
    assert status == 2 and "is no .npz file at all, or cut short." in err and ".." not in err


def test_data_lists_describes_and_shows(minilocal):
    status, out, _ = minilocal("data", "--data-dir", "nowhere")
    assert status == 0 and "digits         in the package" in out and "cifar10        not in nowhere" in out
    for name in ml.data.NAMES:
        assert f"\n{name} " in f"\n{out}"
    status, out, _ = minilocal("data", "digits", "--sheet", "digits.png")
    assert status == 0 and "1437 training" in out
    assert Path("digits.png").read_bytes().startswith(b"\x89PNG")


def test_a_contact_sheet_has_a_row_for_each_class(tmp_path):
    from matplotlib.image import imread

    from minilocal.cli.data import sheet

    digits = ml.data.load("digits", limit_train=20)  # two of each: the rest of a row is white
    sheet(digits, str(tmp_path / "sheet.png"), columns=4)
    whole = imread(tmp_path / "sheet.png")
    pixels = whole[:, -3 * (4 * 17 - 1) :]
    assert whole.shape[0] == 3 * (10 * 17 - 1)
    second = digits.train_x[np.flatnonzero(digits.train_y == 1)[1]][..., 0] / 255
    np.testing.assert_allclose(pixels[51:99:3, 51:99:3, 0], second, atol=1e-2)
    assert (pixels[:, 3 * 34 :, :3] == 1).all()
    names = whole[:, : whole.shape[1] - pixels.shape[1], :3]
    assert all((names[51 * row : 51 * row + 48] < 0.5).any() for row in range(10))  # each row has its name


def test_a_contact_sheet_names_its_classes_in_full(tmp_path):
    from minilocal.cli.data import sheet

    names = (r"$\bad$", "a class with a long name", *"23456789")  # text, not mathematics
    sheet(replace(ml.data.load("digits", limit_train=20), classes=names), str(tmp_path / "sheet.svg"))
    assert (tmp_path / "sheet.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(("channels", "status"), [(1, 0), (2, 2), (3, 0), (4, 0), (5, 2)])
def test_a_contact_sheet_of_channels_that_are_no_colours(minilocal, channels, status):
    x, y = np.zeros((4, 8, 8, channels), np.uint8), np.arange(4) % 2
    np.savez("mine.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    returned, _, err = minilocal("data", "npz:mine.npz", "--sheet", "mine.png")
    assert returned == status and Path("mine.png").exists() == (status == 0)
    assert not status or (f"whose images have {channels} channels" in err and err.count("\n") == 1)


def test_doctor_tries_things_and_sees_a_wrong_result(minilocal, monkeypatch):
    status, out, _ = minilocal("doctor", "--data-dir", "nowhere")
    assert status == 0 and "FAILED" not in out
    for finding in ("python", "numpy", "BLAS", "cpu product", "cpu kernel", "cpu training step", "data digits"):
        assert finding in out
    from minilocal import ops
    from minilocal.cli import doctor

    monkeypatch.setattr(doctor, "TRIALS", {"product": doctor.multiply})
    monkeypatch.setattr(doctor, "compiled", lambda: "well")
    monkeypatch.setattr(doctor, "mpi", lambda: True)
    monkeypatch.setattr(ops, "matmul", lambda x, W: x @ W + 1)
    status, out, _ = minilocal("doctor")
    assert status == 1 and "FAILED: ArithmeticError: wrong result" in out


def test_verify_checks_the_kernels_that_are_asked_for(monkeypatch, minilocal):
    """The kind holds while rows are computed, which are none here, and no longer."""
    from minilocal import verify
    from minilocal.ops import kinds

    seen = []

    def checks(quick, only):
        seen.append(kinds.kernels())
        yield from ()

    monkeypatch.setattr(kinds, "find_spec", lambda name: sys)
    monkeypatch.setattr(kinds, "import_module", lambda name: None)
    monkeypatch.setattr(verify, "run", checks)
    for kind in ("numba", "auto", "numpy"):
        assert minilocal("verify", "--kernels", kind)[0] == 0
    assert minilocal("verify")[0] == 0
    assert seen == ["numba", "numba", "numpy", "numpy"] and kinds.kernels() == "numpy"


def test_verify_offers_the_kinds_of_check_that_there_are():
    pytest.importorskip("jax", reason="verify needs JAX")
    from minilocal import verify
    from minilocal.cli.verify import DEVICE_KINDS, KINDS

    assert tuple(verify.KINDS) == KINDS and tuple(verify.device.KINDS) == DEVICE_KINDS


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data-dir", "bad\udcff"],
        ["train", "--epochs", "bad\udcff"],
        ["predict", "bad\udcff"],
        ["train", "--length=--"],
        ["train", "--set=--"],
        ["sweep", "--seeds=--"],
        ["sweep", "--seeds", "9" * 5000],
        ["simulate", "--modules", "9" * 5000],
        ["memory", "--net=--"],
    ],
)
def test_words_that_mean_nothing_are_one_line(minilocal, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = minilocal(*words)
    assert status == 2 and out == "" and err.count("\n") == 1 and err.rstrip("\n").isprintable()
    assert list(tmp_path.iterdir()) == []


def test_what_an_error_quotes_is_obeyed_by_no_terminal(minilocal):
    assert "\x1b" not in minilocal("data", "\x1b[2J")[2]
    assert "\\x1b[2J" in minilocal("\x1b[2J")[2]


def test_text_of_a_configuration_can_be_written(tmp_path):
    with pytest.raises(ml.UserError, match=r"data\.dir = .* is not UTF-8"):
        ml.train.train({"data": {"dir": "bad\udcff"}, "run": {"out": str(tmp_path / "run")}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["predict", "{}"], ["export", "{}"], ["report", "{}"], ["data", "npz:{}"]])
def test_a_name_that_is_too_long_is_one_line(minilocal, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = minilocal(*(word.format("a" * 5000) for word in words))
    assert status == 2 and err.count("\n") == 1


@pytest.mark.parametrize("command", ["explorer", "memory", "report", "bench", "export", "predict", "verify", "demo"])
def test_a_place_that_cannot_be_is_refused_before_the_work(minilocal, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    run = ["run"] if command in ("export", "predict", "report") else []
    for out, says in (
        ("", "--out is empty"),
        ("a" * 300, "more than 255 bytes"),
        ("file/sub/x", "is a file, not a folder"),
    ):
        status, _, err = minilocal(command, *run, "--out", out)
        assert status == 2 and says in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
