"""Tag tables of taggers: where they are, what they contain, and what is refused."""

import pytest

from gpu_runner.protocol.model_detection.tag_table import find_tag_table, read_tag_table, table_for
from tests.support.onnx_files import tag_table


@pytest.fixture
def table(tmp_path):
    def table(text: str | bytes, name: str = "selected_tags.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return table


def test_rows_have_the_name_and_the_category_of_their_number(table):
    rows = [("1girl", 0), ("artist", 1), ("series", 3), ("miku_(x)", 4), ("highres", 5), ("sensitive", 9)]
    assert read_tag_table(table(tag_table(*rows))) == (
        ("1girl", "general"),
        ("artist", "artist"),
        ("series", "copyright"),
        ("miku_(x)", "character"),
        ("highres", "meta"),
        ("sensitive", "rating"),
    )


def test_columns_may_have_another_order_and_a_byte_order_mark(table):
    text = '\ufeffcategory,count,name\n0,5,"a,b"\n4,5,c\n'
    assert read_tag_table(table(text)) == (("a,b", "general"), ("c", "character"))


def test_a_table_of_the_models_name_is_preferred(tmp_path, table):
    model = tmp_path / "wd.onnx"
    assert find_tag_table(model) is None
    shared = table("")
    assert find_tag_table(model) == shared
    assert find_tag_table(model) != (own := table("", "wd.onnx.csv"))
    assert find_tag_table(model) == own
    best = table("", "wd.csv")
    assert find_tag_table(model) == best
    assert find_tag_table(tmp_path / "other.onnx") == shared


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tag_id,name,count\n0,a,1\n", "has no column category"),
        ("", "has no column category"),
        ("name,category\na,7\n", "unknown category in line 2"),
        ("name,category\na\n", "unknown category in line 2"),
        ("name,category\n,0\n", "no usable name in line 2"),
        ('name,category\n"a\nb",0\n', "no usable name in line 3"),
        (f"name,category\n{'a' * 201},0\n", "no usable name in line 2"),
        ('name,category\n"a,0\n', "not a CSV file"),
        (b"\xff\xfe\x00", "not a CSV file in UTF-8"),
        (b"name,category\na\0b,0\n", "no usable name|not a CSV file"),
    ],
)
def test_another_file_is_refused_with_the_reason(table, text, reason):
    with pytest.raises(ValueError, match=reason):
        read_tag_table(table(text))


def test_a_huge_file_is_not_read(table):
    path = table("name,category\n")
    with path.open("r+b") as file:
        file.truncate(9 * 2**20)
    with pytest.raises(ValueError, match="at most"):
        read_tag_table(path)


def test_a_table_must_have_a_row_for_each_output(tmp_path, table):
    with pytest.raises(ValueError, match=r"missing: put wd\.csv or selected_tags\.csv beside it"):
        table_for(tmp_path / "wd.onnx", 2)
    table(tag_table(("a", 0), ("b", 0)))
    assert len(table_for(tmp_path / "wd.onnx", 2)) == 2
    with pytest.raises(ValueError, match="must have 3 rows"):
        table_for(tmp_path / "wd.onnx", 3)
