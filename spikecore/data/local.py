"""tonic's dataset classes, kept from the network: they read what is there, or say what is not."""

from __future__ import annotations

import hashlib
import inspect
import os
from pathlib import Path
from typing import Any, NoReturn

from spikecore.errors import BackendUnavailable, FileRefused, InvalidInput, UnknownName

__all__ = ["local_only"]

RECORDINGS = {
    "ASLDVS": "*.mat",
    "CIFAR10DVS": "*.aedat4",
    "DAVISDATA": "*.bag",
    "DVSGesture": "user*/*.npy",
    "DVSLip": "*.npy",
    "EBSSA": "labelled_ebssa.h5",
    "MVSEC": "*.bag",
    "NCALTECH101": "*.bin",
    "NERDD": "output_events.npz",
    "NMNIST": "*.bin",
    "POKERDVS": "*.npy",
    "ThreeET_Eyetracking": "*.h5",
    "TUMVIE": "*-events_left.h5",
    "VPR": "*.bag",
}
"""What the files of each dataset are called once unpacked."""

OURS = ("save_to", "root", "train", "transform", "target_transform", "transforms")
"""Parameters of tonic's classes that are not options of their own."""


def local_only(name: str, folder: Path, train: bool, options: dict[str, Any]) -> Any:
    """Return tonic's dataset ``name``, made of the files in ``folder`` alone.

    Raises
    ------
    FileRefused
        If there are no such files, or tonic cannot open the set without the network.
    InvalidInput
        If tonic refuses an option or needs another one.
    BackendUnavailable
        If tonic needs another package.
    """
    from tonic import datasets

    if name not in RECORDINGS:
        raise FileRefused(
            f"dataset {name}",
            "cannot be opened: tonic's class uses the network whatever files there are",
            fix="read its event files yourself and give them to EventStream.checked",
        )
    theirs = getattr(datasets, name)
    known = inspect.signature(theirs).parameters
    for option in options:
        if option not in known or option in OURS:
            raise UnknownName(f"dataset {name}", option, set(known) - set(OURS))
    needed = [key for key, one in known.items() if one.default is one.empty and key not in OURS]
    if missing := sorted(set(needed) - set(options)):
        raise InvalidInput(f"dataset {name}", f"needs {missing[0]}=", fix=f"see tonic's {name}")
    if "train" in known:
        options = {"train": train, **options}
    return _opened(name, theirs, folder, options)


def _opened(name: str, theirs: type, folder: Path, options: dict[str, Any]) -> Any:
    def check(self: Any) -> bool:  # in place of the look that leads tonic to download
        _check_present(self, name)
        return True

    # The class keeps its name: tonic takes it for that of the folder.
    ours = type(name, (theirs,), {"_check_exists": check, "_check_extracted": check})
    try:
        dataset = ours(os.fspath(folder), **options)
    except FileRefused:
        raise
    except ImportError as error:
        raise BackendUnavailable(
            f"dataset {name}", "needs another package", got=error, fix=f"pip install {error.name}"
        ) from error
    except OSError as error:
        raise FileRefused(
            f"dataset {name}", "is not complete", got=error, fix="put the file there"
        ) from error
    except Exception as error:  # whatever tonic raises over options and foreign bytes
        raise InvalidInput(
            f"dataset {name}", "cannot be opened by tonic", got=error, fix="check options and files"
        ) from error
    _sort(dataset)
    return dataset


def _check_present(dataset: Any, name: str) -> None:
    """Raise unless the files that tonic is about to list are there."""
    location = Path(dataset.location_on_system)
    if bags := _bags(dataset, name):
        absent = [bag for bag in bags if not (location / bag[0]).is_file()]
        if absent:
            listed = ", ".join(f"{file} (MD5 {md5})" for file, md5 in absent)
            _refuse(name, f"no {absent[0][0]} in {location}", f"put there {listed}")
        return
    root = location / getattr(dataset, "folder_name", "")
    if next(root.rglob(RECORDINGS[name]), None) is None:
        archive = getattr(dataset, "filename", None)
        md5 = getattr(dataset, "file_md5", None)
        if archive and (location / archive).is_file():
            _refuse_archive(location / archive, md5)
        source = f"{archive} (MD5 {md5})" if md5 else archive or "the dataset"
        _refuse(name, f"no {RECORDINGS[name]} in {root}", f"unpack {source} in {location}")


def _bags(dataset: Any, name: str) -> list[tuple[str, str]]:
    """Return file and checksum of each recording that tonic will want by name."""
    if name == "DAVISDATA":
        return [(f"{one}.bag", dataset.recordings[one]) for one in dataset.selection]
    if name == "MVSEC":
        scene = dataset.scene
        return [(f"{scene}/{file}", md5) for file, md5 in dataset.resources[scene]]
    if name == "VPR":
        return [(file, md5) for files in dataset.recordings for file, md5 in files]
    return []


def _refuse(name: str, got: str, fix: str) -> NoReturn:
    raise FileRefused(
        f"dataset {name}", "is not there, and nothing is downloaded", got=got, fix=fix
    )


def _refuse_archive(archive: Path, md5: str | None) -> NoReturn:
    """Raise: the archive is there, but tonic reads the files inside, unpacked."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if md5 and found != md5:
        raise FileRefused(
            str(archive), "is damaged", got=f"MD5 {found}, not {md5}", fix="get it again"
        )
    raise FileRefused(str(archive), "is not unpacked", fix=f"unpack it in {archive.parent}")


def _sort(dataset: Any) -> None:
    """Order the recordings by path: tonic keeps the order of the disk for some sets."""
    files = getattr(dataset, "data", None)
    if not files or not all(isinstance(file, str) for file in files):
        return
    order = sorted(range(len(files)), key=files.__getitem__)
    for key, values in vars(dataset).items():
        if isinstance(values, list) and len(values) == len(order):
            setattr(dataset, key, [values[index] for index in order])
