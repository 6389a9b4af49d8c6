"""The official STL-10 files, labelled part only: 5,000 training and 8,000 test images.

A. Coates, H. Lee and A. Y. Ng, An Analysis of Single Layer Networks in Unsupervised Feature Learning, 2011.
https://cs.stanford.edu/~acoates/stl10

Sums are stated by independent loaders: SHA-256 of the archive by Britefury/batchup and a loader in Julia, which agree;
MD5 of the unpacked files by pytorch/vision (no SHA-256 of them is published). The archive also holds 100,000 images
without labels, which are passed over. So the labelled ones are kept beside it, and it is decompressed once.

InfoPro's and AugLocal's code normalises by 0.5 and 0.5, and augments by a shift of up to 4 pixels, black behind, and a
flip.
"""

from __future__ import annotations

from minilocal.data.layout import Layout, Official
from minilocal.data.stl10 import read

STL10 = Official(
    name="stl10",
    read=read,
    train_counts=(500,) * 10,
    test_counts=(800,) * 10,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    padding=4,
    flip=True,
    unpack_once=True,
    layouts=(
        Layout(
            folder="stl10_binary",
            archive="stl10_binary.tar.gz",
            train=("train_X.bin", "train_y.bin"),
            test=("test_X.bin", "test_y.bin"),
            class_names="class_names.txt",
            lengths={"stl10_binary.tar.gz": 2_640_397_119},
            sums={
                "stl10_binary.tar.gz": "sha256:f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
                "train_X.bin": "md5:918c2871b30a85fa023e0c44e0bee87f",
                "train_y.bin": "md5:5a34089d4802c674881badbb80307741",
                "test_X.bin": "md5:7f263ba9f9e0b06b93213547f721ac82",
                "test_y.bin": "md5:36f9794fa4beb8a2c72628de14fa638e",
            },
            sources=("http://ai.stanford.edu/~acoates/stl10/", "https://cs.stanford.edu/~acoates/stl10/"),
        ),
    ),
)
