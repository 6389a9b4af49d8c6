"""The official SVHN files, cropped digits ("format 2"), without the 531,131 "extra" images.

Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
http://ufldl.stanford.edu/housenumbers

Sums and lengths are stated by independent loaders, which agree: SHA-256 by torchvision's prototype data sets and
Britefury/batchup, MD5 (not used) by pytorch/vision. The page answers over HTTP only; the sums are what is trusted.

BackLink, InfoPro and PGL train without the extra images. InfoPro's and AugLocal's code normalises by 0.5 and 0.5, and
augments by a shift of up to 2 pixels, black behind, without a flip.
"""

from __future__ import annotations

from minilocal.data.layout import Layout, Official
from minilocal.data.svhn import check_installed, read

SVHN = Official(
    name="svhn",
    read=read,
    check_installed=check_installed,
    train_counts=(4_948, 13_861, 10_585, 8_497, 7_458, 6_882, 5_727, 5_595, 5_045, 4_659),  # 73 257
    test_counts=(1_744, 5_099, 4_149, 2_882, 2_523, 2_384, 1_977, 2_019, 1_660, 1_595),  # 26 032
    names=tuple("0123456789"),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    padding=2,
    stratified=True,
    layouts=(
        Layout(
            folder="svhn",
            archive=None,
            train=("train_32x32.mat",),
            test=("test_32x32.mat",),
            lengths={"train_32x32.mat": 182_040_794, "test_32x32.mat": 64_275_384},
            sums={
                "train_32x32.mat": "sha256:435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
                "test_32x32.mat": "sha256:cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            },
            sources=("http://ufldl.stanford.edu/housenumbers/",),
        ),
    ),
)
