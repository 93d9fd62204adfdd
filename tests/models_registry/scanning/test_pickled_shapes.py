"""Tensor shapes of pickled files."""

import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from models_registry.scanning.pickle_safety import UnsafePickle, check_pickle
from models_registry.scanning.pickled_shapes import pickled_shapes


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "model.pt"


def torch_zip(file: Path, code: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", code)
    return file


@pytest.mark.parametrize("in_zip", [True, False])
def test_names_and_shapes_equal_those_that_torch_loads(file, in_zip):
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 2), torch.nn.BatchNorm2d(5)).state_dict()
    torch.save({"name": "cat", "state_dict": state}, file, _use_new_zipfile_serialization=in_zip)
    assert pickled_shapes(file) == ({name: tuple(t.shape) for name, t in state.items()}, {"name": "cat"})


def test_parameters_and_views_have_their_visible_shape(file):
    torch.save({"a": torch.nn.Parameter(torch.ones(2, 3)), "b": torch.ones(1).expand(4, 5)}, file)
    assert pickled_shapes(file) == ({"a": (2, 3), "b": (4, 5)}, {})


def test_ema_weights_take_precedence(file):
    torch.save({"params": {"a": torch.ones(1)}, "params_ema": {"a": torch.ones(2)}}, file)
    assert pickled_shapes(file) == ({"a": (2,)}, {})


def test_globals_are_not_called_even_without_the_safety_check(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch_zip(file, b"\x80\x02cposix\nsystem\nX\x0b\0\0\0touch pwned\x85R.")
    assert pickled_shapes(file) is None
    assert not Path("pwned").exists()


def test_modified_stubs_do_not_affect_the_next_file(file, tmp_path):
    # BUILD with a pair sets attributes of the object: here, of the stub of a function.
    code = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\0\0\0__defaults__)s\x86b."
    pickled_shapes(torch_zip(file, code))
    after = tmp_path / "after.pt"
    torch.save(OrderedDict(a=torch.ones(3)), after)
    assert pickled_shapes(after) == ({"a": (3,)}, {})


@pytest.mark.parametrize("content", [[], 1, "text", None])
def test_file_without_a_dict_has_no_shapes(file, content):
    assert pickled_shapes(torch_zip(file, pickle.dumps(content, protocol=2))) is None


def test_sparse_memo_index_is_refused_without_allocating_it(file):
    code = b"\x80\x02}r" + struct.pack("<I", 2**31) + b"."
    with pytest.raises(UnsafePickle, match="memo"):
        check_pickle(torch_zip(file, code))
