"""Safety check of pickled files."""

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from models_registry.scanning.pickle_safety import UnsafePickle, check_pickle


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "model.pt"


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
)
@pytest.mark.parametrize("in_zip", [True, False])
def test_state_dict_saved_by_torch_passes(file, dtype, in_zip):
    content = OrderedDict(a=torch.ones(3).to(dtype), b=torch.nn.Parameter(torch.ones(2)), n=1)
    torch.save(content, file, _use_new_zipfile_serialization=in_zip)
    check_pickle(file)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("in_zip", [True, False])
def test_pickle_with_other_globals_is_refused_and_not_executed(file, protocol, in_zip, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, file, pickle_protocol=protocol, _use_new_zipfile_serialization=in_zip)
    with pytest.raises(UnsafePickle, match=r"refers to posix\.system"):
        check_pickle(file)
    assert not Path("pwned").exists()


def test_state_dict_with_a_newer_protocol_passes(file):
    torch.save({"a": torch.ones(3)}, file, pickle_protocol=4)
    check_pickle(file)


def test_name_assembled_on_the_stack_is_refused(file):
    # os.system through the memo: the strings are far from the opcode that uses them.
    code = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x8c\x05torch\x94\x8c\x04Size\x940000h\x00h\x01\x93."
    file.write_bytes(code)
    with pytest.raises(UnsafePickle):
        check_pickle(file)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"\x80\x02", b"\x80\x02}q", b"PK\x03\x04", b"\x80\x02(iposix\nsystem\n."]
)
def test_file_that_torch_did_not_write_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(UnsafePickle):
        check_pickle(file)


def test_zip_without_a_pickle_is_refused(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UnsafePickle, match="not a file that torch wrote"):
        check_pickle(file)


def test_zip_bomb_is_refused_without_reading_it(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(b"\0" * 70_000_000, protocol=2))
    with pytest.raises(UnsafePickle, match="too large"):
        check_pickle(file)
