import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from models_registry.scanning.pickle_safety import SuspectPickle, check_pickle
from models_registry.scanning.pickled_shapes import pickled_shapes


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "model.pt"


def as_torch_does(file: Path, code: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", code)
    return file


@pytest.mark.parametrize("in_zip", [True, False])
def test_names_and_shapes_are_those_that_torch_loads(file, in_zip):
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 2), torch.nn.BatchNorm2d(5)).state_dict()
    torch.save({"name": "cat", "state_dict": state}, file, _use_new_zipfile_serialization=in_zip)
    assert pickled_shapes(file) == ({name: tuple(t.shape) for name, t in state.items()}, {"name": "cat"})


def test_parameters_and_views_have_the_shape_that_is_seen(file):
    torch.save({"a": torch.nn.Parameter(torch.ones(2, 3)), "b": torch.ones(1).expand(4, 5)}, file)
    assert pickled_shapes(file) == ({"a": (2, 3), "b": (4, 5)}, {})


def test_averaged_weights_come_before_the_last_ones(file):
    torch.save({"params": {"a": torch.ones(1)}, "params_ema": {"a": torch.ones(2)}}, file)
    assert pickled_shapes(file) == ({"a": (2,)}, {})


def test_what_a_pickle_names_is_not_called_even_when_nobody_looked_through_it_before(
    file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    as_torch_does(file, b"\x80\x02cposix\nsystem\nX\x0b\0\0\0touch pwned\x85R.")
    assert pickled_shapes(file) is None
    assert not Path("pwned").exists()


def test_what_a_pickle_does_to_the_stand_ins_does_not_reach_the_next_file(file, tmp_path):
    # BUILD with a pair sets attributes of what it builds on: here, of the stand-in for a function.
    code = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\0\0\0__defaults__)s\x86b."
    pickled_shapes(as_torch_does(file, code))
    after = tmp_path / "after.pt"
    torch.save(OrderedDict(a=torch.ones(3)), after)
    assert pickled_shapes(after) == ({"a": (3,)}, {})


@pytest.mark.parametrize("content", [[], 1, "text", None])
def test_a_file_without_a_table_has_no_shapes(file, content):
    assert pickled_shapes(as_torch_does(file, pickle.dumps(content, protocol=2))) is None


def test_a_memo_with_holes_is_refused_before_anybody_makes_room_for_it(file):
    code = b"\x80\x02}r" + struct.pack("<I", 2**31) + b"."
    with pytest.raises(SuspectPickle, match="memo"):
        check_pickle(as_torch_does(file, code))
