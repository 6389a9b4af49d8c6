"""The official files of MNIST and Fashion-MNIST: four idx files each, compressed by gzip, under the same names.

Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST Database of Handwritten Digits, 1998.
H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017. https://github.com/zalandoresearch/fashion-mnist

SHA-256 and lengths are stated by independent loaders, which agree: ankane/torchvision-ruby (MNIST), torchvision's
prototype data sets (both), Britefury/batchup (Fashion-MNIST). No sums of the unpacked files are published; the counts
of each class tell the two data sets apart.

Mean and deviation are computed from the training images. No paper of this package uses these data sets; the
augmentation is this project's choice. A digit lies in the middle 20×20 pixels, so a shift of 2 cuts nothing off, and a
mirrored 2 is not a 2. A mirrored shirt is a shirt.
"""

from __future__ import annotations

from dataclasses import replace

from minilocal.data.idx import read
from minilocal.data.layout import Layout, Official

TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def layouts(fetched: Layout, other: str) -> tuple[Layout, ...]:
    """The layout that is fetched, the same unpacked, and both in the folder where torchvision puts them."""
    unpacked = replace(
        fetched,
        train=tuple(name.removesuffix(".gz") for name in fetched.train),
        test=tuple(name.removesuffix(".gz") for name in fetched.test),
        sums={},
        lengths={},
        sources=(),
    )
    elsewhere = tuple(replace(layout, folder=other) for layout in (fetched, unpacked))
    return (fetched, unpacked, *elsewhere)


MNIST = Official(
    name="mnist",
    read=read,
    train_counts=(5_923, 6_742, 5_958, 6_131, 5_842, 5_421, 5_918, 6_265, 5_851, 5_949),  # 60 000
    test_counts=(980, 1_135, 1_032, 1_010, 982, 892, 958, 1_028, 974, 1_009),  # 10 000
    names=tuple("0123456789"),
    padding=2,
    layouts=layouts(
        Layout(
            folder="mnist",
            archive=None,
            train=TRAIN,
            test=TEST,
            lengths=dict(zip((*TRAIN, *TEST), (9_912_422, 28_881, 1_648_877, 4_542), strict=True)),
            sums={
                TRAIN[0]: "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                TRAIN[1]: "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                TEST[0]: "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                TEST[1]: "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            },
            # Copies of Google and of PyTorch's maintainers: the author's own page does not answer every reader.
            sources=(
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
            ),
        ),
        other="MNIST/raw",
    ),
)

FASHION_MNIST = Official(
    name="fashion-mnist",
    read=read,
    train_counts=(6_000,) * 10,
    test_counts=(1_000,) * 10,
    names=(
        "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ),
    padding=2,
    flip=True,
    layouts=layouts(
        Layout(
            folder="fashion-mnist",
            archive=None,
            train=TRAIN,
            test=TEST,
            lengths=dict(zip((*TRAIN, *TEST), (26_421_880, 29_515, 4_422_102, 5_148), strict=True)),
            sums={
                TRAIN[0]: "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                TRAIN[1]: "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                TEST[0]: "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                TEST[1]: "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            },
            sources=(
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
        ),
        other="FashionMNIST/raw",
    ),
)  # fmt: skip
