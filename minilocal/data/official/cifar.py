"""The official CIFAR files: their names, lengths, checksums and addresses.

Sums and lengths are stated by independent loaders, which agree:
  SHA-256 of both binary archives      JuliaML/MLDatasets.jl, gomlx/gomlx, ankane/torchvision-ruby
  SHA-256 of both Python archives      keras-team/keras, and torchvision's prototype data sets
  SHA-256 of the unpacked binary files ankane/torchvision-ruby
  MD5 of the unpacked Python files     pytorch/vision (no SHA-256 of them is published)
"""

from __future__ import annotations

from minilocal.data.cifar import read
from minilocal.data.layout import Cifar, Layout

HOME = "https://www.cs.toronto.edu/~kriz/"  # the author's page, which names both archives and their MD5

CIFAR10 = Cifar(
    name="cifar10",
    read=read,
    labels=("labels",),
    train_counts=(5_000,) * 10,
    test_counts=(1_000,) * 10,
    names_key="label_names",
    mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),  # the constants of InfoPro, AugLocal and DDG
    std=(63.0 / 255, 62.1 / 255, 66.7 / 255),
    padding=4,  # He et al.: 4 black pixels on each side, a random crop, a random flip
    flip=True,
    layouts=(
        Layout(
            folder="cifar-10-batches-bin",
            archive="cifar-10-binary.tar.gz",
            train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
            test=("test_batch.bin",),
            class_names="batches.meta.txt",
            pickled=False,
            lengths={"cifar-10-binary.tar.gz": 170_052_171},
            sums={
                "cifar-10-binary.tar.gz": "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                "data_batch_1.bin": "sha256:cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "data_batch_2.bin": "sha256:a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "data_batch_3.bin": "sha256:bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "data_batch_4.bin": "sha256:014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "data_batch_5.bin": "sha256:755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                "test_batch.bin": "sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            },
            sources=(
                HOME,
                # The copy of the MindSpore project, 162.2 MB as its tutorial prints. Named by mindspore-ai/docs
                # (tutorials/source_en/dataset/sampler.md) and robinbg/MindSpore-EfficientNetV2 (data_download.sh).
                "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
            ),
        ),
        Layout(
            folder="cifar-10-batches-py",
            archive="cifar-10-python.tar.gz",
            train=tuple(f"data_batch_{i}" for i in range(1, 6)),
            test=("test_batch",),
            class_names="batches.meta",
            pickled=True,
            lengths={"cifar-10-python.tar.gz": 170_498_071},
            sums={
                "cifar-10-python.tar.gz": "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
                "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
                "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
                "test_batch": "md5:40351d587109b95175f43aff81a1287e",
            },
        ),
    ),
)

CIFAR100 = Cifar(
    name="cifar100",
    read=read,
    labels=("coarse_labels", "fine_labels"),
    train_counts=(500,) * 100,
    test_counts=(100,) * 100,
    names_key="fine_label_names",
    mean=(129.3 / 255, 124.1 / 255, 112.4 / 255),  # the constants of DDG
    std=(68.2 / 255, 65.4 / 255, 70.4 / 255),
    padding=4,  # He et al.: 4 black pixels on each side, a random crop, a random flip
    flip=True,
    layouts=(
        Layout(
            folder="cifar-100-binary",
            archive="cifar-100-binary.tar.gz",
            train=("train.bin",),
            test=("test.bin",),
            class_names="fine_label_names.txt",
            pickled=False,
            lengths={"cifar-100-binary.tar.gz": 168_513_733},
            sums={
                "cifar-100-binary.tar.gz": "sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                "train.bin": "sha256:f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
                "test.bin": "sha256:d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
            },
            sources=(HOME,),
        ),
        Layout(
            folder="cifar-100-python",
            archive="cifar-100-python.tar.gz",
            train=("train",),
            test=("test",),
            class_names="meta",
            pickled=True,
            lengths={"cifar-100-python.tar.gz": 169_001_437},
            sums={
                "cifar-100-python.tar.gz": "sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
                "train": "md5:16019d7e3df5f24257cddd939b257f8d",
                "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
            },
        ),
    ),
)
