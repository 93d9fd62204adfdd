"""Scan of the models folder."""

import hashlib
import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from django.core.management import CommandError, call_command
from safetensors.torch import load_file, save_file

from gpu_runner.protocol.model_detection.safetensors_header import read_safetensors_header
from models_registry.errors import ModelUnusable
from models_registry.models import Kind, ModelFile
from models_registry.scanning.scan import scan
from models_registry.selectors import resolve
from tests.support.demo_engine import DEMO_MODELS
from tests.support.face_files import write_painter
from tests.support.gguf_files import write_gguf
from tests.support.onnx_files import sigmoid_of_the_first_channel, tag_table, tagger_of_mean_colors

YUNET = DEMO_MODELS / "face_detection" / "yunet_n_640_640.onnx"

LORA = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": [4, 768],
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": [320, 4],
}
CHECKPOINT = {
    "model.diffusion_model.input_blocks.0.0.weight": [32, 4, 3, 3],
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": [4, 64],
}


def whole_checkpoint() -> dict[str, tuple[int, ...]]:
    return read_safetensors_header(DEMO_MODELS / "checkpoints" / "atelier-shapes.safetensors")[0]


@pytest.fixture
def root(db, settings, tmp_path) -> Path:
    settings.MODELS_ROOT = tmp_path / "models"
    settings.MODELS_ROOT.mkdir()
    return settings.MODELS_ROOT


def safetensors(path: Path, shapes: dict[str, list[int]], fill: bytes = b"\0", **metadata: str) -> Path:
    header, end = {"__metadata__": metadata}, 0
    for name, shape in shapes.items():
        start, end = (
            end,
            end + 2 * int.__mul__(*[*shape, 1][:2]) * (shape[2] * shape[3] if len(shape) == 4 else 1),
        )
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + fill * end)
    return path


def test_kind_is_detected_from_the_tensors_not_from_the_name(root):
    path = safetensors(root / "loras" / "not-a-checkpoint.safetensors", CHECKPOINT)
    scan()
    file = ModelFile.objects.get()
    assert (file.kind, file.family, file.name) == ("checkpoint", "sd15", "not-a-checkpoint")
    assert file.path == "loras/not-a-checkpoint.safetensors"
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.size_bytes == path.stat().st_size


def test_kind_of_an_onnx_file_is_detected_from_its_graph(root):
    (root / "misplaced").mkdir()
    path = root / "misplaced" / "reddest.onnx"
    path.write_bytes(sigmoid_of_the_first_channel(32))
    scan()
    file = ModelFile.objects.get()
    assert (file.kind, file.family, file.name, file.problem) == ("matting", "unknown", "reddest", "")
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_face_models_are_detected(root):
    (root / "misplaced").mkdir()
    shutil.copy(YUNET, root / "misplaced" / "any.onnx")
    gfpgan = {"toRGB.0.weight": [3, 2, 1, 1], "stylegan_decoder.style_mlp.1.weight": [2, 2]}
    safetensors(root / "misplaced" / "cat.safetensors", gfpgan)
    scan()
    found = ModelFile.objects.order_by("name").values_list("name", "kind", "problem")
    assert list(found) == [("any", Kind.FACE_DETECTOR, ""), ("cat", Kind.FACE_RESTORER, "")]


def test_kind_of_a_pickled_file_is_detected_from_its_tensors(root):
    def pickled(path: str, shapes: dict[str, list[int]], table: str = "", **values: str) -> None:
        tensors = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
        (root / path).parent.mkdir(exist_ok=True)
        torch.save({**values, **({table: tensors} if table else tensors)}, root / path)

    pickled("checkpoints/lora.pt", LORA)
    pickled("loras/checkpoint.ckpt", whole_checkpoint(), "state_dict")
    pickled("plum.pt", {"*": [2, 64]}, "string_to_param", ss_base_model_version="sd_v1")
    write_painter(root, "GFPGANv1.4.pth")
    scan()
    found = ModelFile.objects.order_by("path").values_list("path", "kind", "family", "problem")
    assert list(found) == [
        ("checkpoints/lora.pt", "lora", "sd15", ""),
        ("face_restoration/GFPGANv1.4.pth", "face_restorer", "unknown", ""),
        ("loras/checkpoint.ckpt", "checkpoint", "sd15", ""),
        ("plum.pt", "embedding", "sd15", ""),
    ]
    assert ModelFile.objects.get(name="plum").metadata["atelier.vectors"] == "2"


def test_folder_does_not_make_a_pickled_file_a_face_restorer(root):
    (root / "face_restoration").mkdir()
    torch.save(
        {"params_ema": {"encoder.blocks.0.weight": torch.ones(3)}}, root / "face_restoration" / "a.pth"
    )
    scan()
    file = ModelFile.objects.get()
    assert (file.kind, "Not a supported face restorer" in file.problem) == ("unknown", True)


def test_truncated_onnx_file_has_a_problem(root):
    (root / "matting").mkdir()
    (root / "matting" / "half.onnx").write_bytes(sigmoid_of_the_first_channel(32)[:-9])
    scan()
    file = ModelFile.objects.get()
    assert (file.kind, "ONNX" in file.problem) == ("unknown", True)


def test_lora_has_a_hash_of_its_tensors_without_the_header(root):
    safetensors(root / "a.safetensors", LORA, title="one")
    safetensors(root / "b.safetensors", LORA, title="another title")
    scan()
    one, other = ModelFile.objects.filter(kind="lora", family="sd15").order_by("path")
    assert (
        one.tensors_sha256
        == other.tensors_sha256
        == hashlib.sha256(b"\0" * 2 * (4 * 768 + 320 * 4)).hexdigest()
    )
    assert one.sha256 != other.sha256


def test_metadata_licence_and_trigger_words_come_from_the_header(root):
    metadata = {"modelspec.license": "MIT", "modelspec.trigger_phrase": "shpe", "ss_note": "a\0b"}
    safetensors(root / "a.safetensors", LORA, **metadata)
    scan()
    file = ModelFile.objects.get()
    assert (file.licence, file.trigger_words, file.metadata["ss_note"]) == ("MIT", "shpe", "ab")


def test_too_large_metadata_loses_its_longest_value(root):
    safetensors(root / "a.safetensors", LORA, ss_tag_frequency="x" * 1_000_000, ss_output_name="shapes")
    scan()
    assert ModelFile.objects.get().metadata == {"ss_output_name": "shapes"}


def test_unchanged_file_is_not_read_again(root):
    path = safetensors(root / "a.safetensors", LORA)
    scan()
    ModelFile.objects.update(sha256="as it was")
    assert scan().unchanged == ["a.safetensors"]
    assert ModelFile.objects.get().sha256 == "as it was"
    os.utime(path, ns=(1, 1))
    assert scan().changed == ["a.safetensors"]
    assert ModelFile.objects.get().sha256 != "as it was"


def test_missing_file_is_marked_until_it_returns(root):
    path = safetensors(root / "a.safetensors", LORA)
    scan()
    kept = path.rename(root / "a.hidden")
    assert scan().missing == ["a.safetensors"]
    assert ModelFile.objects.get().missing_since
    assert scan().missing == []
    kept.rename(path)
    assert scan().returned == ["a.safetensors"]
    assert ModelFile.objects.get().missing_since is None


def test_renamed_file_keeps_its_row_and_settings(root):
    path = safetensors(root / "a.safetensors", LORA)
    scan()
    ModelFile.objects.update(name="Shapes", enabled=False)
    path.rename(root / "b.safetensors")
    assert scan().renamed == ["b.safetensors"]
    file = ModelFile.objects.get()
    assert (file.path, file.name, file.enabled, file.missing_since) == (
        "b.safetensors",
        "Shapes",
        False,
        None,
    )


def test_files_with_one_stem_get_different_names(root):
    for folder in "abc":
        safetensors(root / folder / "style.safetensors", LORA)
    scan()
    names = ModelFile.objects.order_by("path").values_list("name", flat=True)
    assert list(names) == ["style", "style-2", "style-3"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 7, b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b"<html>404</html>" * 99],
    ids=["empty", "short", "huge header", "no object", "a web page"],
)
def test_malformed_file_is_registered_with_a_problem_and_does_not_stop_the_scan(root, content):
    (root / "a.safetensors").write_bytes(content)
    safetensors(root / "b.safetensors", LORA)
    scan()
    broken, whole = ModelFile.objects.order_by("path")
    assert (broken.kind, bool(broken.problem), whole.kind) == (Kind.UNKNOWN, True, Kind.LORA)


def test_truncated_file_has_a_problem_until_it_is_complete(root):
    path = safetensors(root / "a.safetensors", LORA)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    scan()
    assert ModelFile.objects.get().problem
    path.write_bytes(whole)
    scan()
    assert ModelFile.objects.usable().get().kind == Kind.LORA


def test_file_that_becomes_invalid_keeps_its_kind_but_is_not_usable(root):
    path = safetensors(root / "a.safetensors", LORA)
    scan()
    path.write_bytes(b"gone")
    scan()
    file = ModelFile.objects.get()
    assert (file.kind, bool(file.problem)) == (Kind.LORA, True)
    assert not ModelFile.objects.usable()


def test_hidden_unfinished_and_other_files_are_ignored(root, tmp_path):
    for name in (".a.safetensors", ".trash/b.safetensors", "c.safetensors.part", "d.txt"):
        safetensors(root / name, LORA)
    safetensors(root / "e.safetensors", LORA)
    (root / "e.safetensors.aria2").touch()
    outside = safetensors(tmp_path / "outside" / "f.safetensors", LORA)
    (root / "f.safetensors").symlink_to(outside)
    (root / "linked").symlink_to(outside.parent)
    (root / "dangling.safetensors").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe.safetensors")
    scan()
    assert not ModelFile.objects.exists()


@pytest.mark.parametrize("name", ["a\\b.safetensors", "a\nb.safetensors", "a\udcff.safetensors"])
def test_path_that_runners_would_refuse_is_skipped(root, name):
    safetensors(root / name, LORA)
    assert len(scan().skipped) == 1
    assert not ModelFile.objects.exists()


def test_missing_root_is_an_error_and_marks_no_file(root, settings):
    safetensors(root / "a.safetensors", LORA)
    scan()
    root.rename(root.with_name("unmounted"))
    with pytest.raises(CommandError, match="no such folder"):
        call_command("scan_models")
    assert ModelFile.objects.get().missing_since is None


def test_command_scans_the_given_folder(root, tmp_path, capsys):
    safetensors(tmp_path / "other" / "a.safetensors", LORA)
    (tmp_path / "other" / "b.safetensors").write_bytes(b"")
    call_command("scan_models", root=tmp_path / "other")
    output = capsys.readouterr()
    assert output.out.strip() == "added 2, problems 1"
    assert output.err.startswith("b.safetensors: ")


def torch_zip(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))


def pickled(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    torch.save(content, path)


def test_the_folder_is_no_proof_of_the_kind(root):
    unknown = {"tail.weight": torch.zeros(3, 8, 3, 3)}
    compact = {f"body.{number}.weight": torch.zeros(8, 3, 3, 3) for number in range(3)}
    pickled(root / "upscalers" / "compact.pth", {"params": compact})
    for folder in ("upscalers", "embeddings", "loras", "vae", "checkpoints", "controlnet"):
        pickled(root / folder / "4x.pth", unknown | {folder: torch.zeros(1)})
    pickled(root / "upscalers" / "words.pth", {"a": torch.zeros(4, 4)})
    torch_zip(root / "upscalers" / "empty.pth", {"params": 1})
    scan()
    assert ModelFile.objects.get(problem="").path == "upscalers/compact.pth"
    others = ModelFile.objects.exclude(problem="")
    assert {file.kind for file in others} == {Kind.UNKNOWN}
    upscalers = {file.problem for file in others if file.path.startswith("upscalers/")}
    assert upscalers == {"Not an upscaler of a supported architecture."}
    assert all("match no supported kind" in file.problem for file in others if file.problem not in upscalers)


def test_an_unreadable_file_in_the_folder_of_embeddings_is_no_embedding(root):
    pickled(root / "embeddings" / "girl.pt", {"a-token": torch.zeros(1, 64), "b-token": torch.zeros(1, 64)})
    pickled(root / "embeddings" / "boy.pt", {"a": 1})
    scan()
    assert not ModelFile.objects.filter(kind=Kind.EMBEDDING).exists()
    assert ModelFile.objects.exclude(problem="").count() == 2


def test_bin_files_of_diffusers_are_read(root):
    pickled(root / "embeddings" / "learned_embeds.bin", {"<cat>": torch.zeros(768)})
    down, up = LORA
    pickled(root / "loras" / "pytorch_lora_weights.bin", {down: torch.zeros(4, 768), up: torch.zeros(320, 4)})
    torch_zip(root / "loras" / "bad.bin", Path)
    scan()
    found = ModelFile.objects.order_by("path").values_list("path", "kind", "family")
    assert list(found) == [
        ("embeddings/learned_embeds.bin", "embedding", "sd15"),
        ("loras/bad.bin", "unknown", "unknown"),
        ("loras/pytorch_lora_weights.bin", "lora", "sd15"),
    ]
    assert ModelFile.objects.get(kind=Kind.UNKNOWN).problem


@pytest.mark.parametrize("suffix", [".ggml", ".GGML", ".msgpack", ".h5"])
def test_formats_that_no_runner_reads_are_registered_with_the_reason(root, suffix):
    (root / "checkpoints").mkdir()
    (root / "checkpoints" / f"flux{suffix}").write_bytes(b"GGUF")
    report = scan()
    file = ModelFile.objects.get()
    assert f"Files of the format {suffix.lower()} are not supported" in file.problem
    assert report.problems == {file.path: file.problem}
    assert not ModelFile.objects.usable()


def test_gguf_file_that_is_cut_off_is_registered_with_the_reason(root):
    whole = write_gguf(
        root / "checkpoints" / "unet.gguf", {"input_blocks.0.0.weight": torch.zeros(32, 4, 3, 3)}
    )
    whole.with_name("cut.gguf").write_bytes(whole.read_bytes()[:-1])
    scan()
    problems = dict(ModelFile.objects.values_list("path", "problem"))
    assert "the file is cut off" in problems["checkpoints/cut.gguf"]
    assert "no text encoder" in problems["checkpoints/unet.gguf"]


def test_quantization_that_is_not_decoded_never_reaches_a_job(root, source):
    tensors = load_file(DEMO_MODELS / "checkpoints" / "atelier-shapes.safetensors")
    layer = "model.diffusion_model.middle_block.1.proj_in"
    content = torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)
    (root / "checkpoints").mkdir()
    save_file(tensors | {f"{layer}.comfy_quant": content}, root / "checkpoints" / "four.safetensors")
    scan()
    assert not ModelFile.objects.usable()
    with pytest.raises(ModelUnusable, match="quantized to nvfp4"):
        resolve(Kind.CHECKPOINT, "four", source)


def test_checkpoint_that_cannot_be_drawn_with_has_the_reason(root):
    safetensors(root / "checkpoints" / "unet.safetensors", {name: [*shape] for name, shape in
                whole_checkpoint().items() if name.startswith("model.")})  # fmt: skip
    scan()
    file = ModelFile.objects.get()
    assert (file.kind, "it has no text encoder" in file.problem) == ("checkpoint", True)


def test_checkpoint_without_vae_is_usable_and_marked(root):
    safetensors(root / "checkpoints" / "bare.safetensors", {name: [*shape] for name, shape in
                whole_checkpoint().items() if not name.startswith("first_stage_model.")})  # fmt: skip
    scan()
    file = ModelFile.objects.usable().get()
    assert (file.kind, file.without_vae) == ("checkpoint", True)


def test_instruct_checkpoint_is_usable_and_marked(root):
    first = "model.diffusion_model.input_blocks.0.0.weight"
    shapes = {name: [*shape] for name, shape in whole_checkpoint().items()}
    safetensors(root / "checkpoints" / "plain.safetensors", shapes)
    shapes[first][1] = 8
    safetensors(root / "checkpoints" / "instruct.safetensors", shapes)
    scan()
    marks = dict(ModelFile.objects.usable().values_list("name", "instruct"))
    assert marks == {"plain": False, "instruct": True}


def test_metadata_of_a_file_cannot_claim_findings_of_the_scan(root):
    safetensors(root / "a.safetensors", LORA, **{"atelier.inpainting": "yes", "atelier.vectors": "9"})
    scan()
    file = ModelFile.objects.get()
    assert file.metadata == {}


def test_parts_of_a_lora_that_are_not_used_are_recorded(root):
    foreign = {"lora_unet_down_blocks_0_motion_modules_0_x.lora_down.weight": [2, 2]}
    foreign |= {"lora_unet_down_blocks_0_motion_modules_0_x.lora_up.weight": [2, 2]}
    safetensors(root / "a.safetensors", LORA | foreign | {"bundle_emb.plum.string_to_param.*": [2, 768]})
    scan()
    file = ModelFile.objects.get()
    assert file.left_out == "1: lora_unet_down_blocks_0_motion_modules_0_x"
    assert (file.bundled_embeddings, file.problem) == (["plum"], "")


def test_flux_lora_with_a_clip_part_is_not_taken_for_sdxl(root):
    names = (
        "lora_unet_double_blocks_0_img_attn_proj",
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
    )
    shapes = {f"{name}.lora_{part}.weight": [8, 8] for name in names for part in ("down", "up")}
    safetensors(root / "loras" / "flux.safetensors", shapes, ss_base_model_version="flux1")
    scan()
    file = ModelFile.objects.get()
    assert (file.kind, file.family, bool(file.problem)) == ("lora", "flux1", False)


def test_legacy_hash_is_over_64_kib_at_offset_1_mib(root):
    shapes = {"emb_params": [1024, 768]}
    small, large = (
        safetensors(root / "small.safetensors", {"emb_params": [1, 768]}),
        root / "large.safetensors",
    )
    safetensors(large, shapes, fill=b"\7")
    scan()
    part = large.read_bytes()[2**20 : 2**20 + 2**16]
    assert ModelFile.objects.get(path="large.safetensors").legacy_hash == hashlib.sha256(part).hexdigest()[:8]
    assert ModelFile.objects.get(path=small.name).legacy_hash == "", "file ends before 1 MiB"


def test_rows_without_legacy_hash_get_it_at_the_next_scan(root):
    safetensors(root / "large.safetensors", {"emb_params": [1024, 768]})
    scan()
    before = ModelFile.objects.get()
    ModelFile.objects.update(legacy_hash="")
    assert scan().unchanged == ["large.safetensors"]
    assert ModelFile.objects.get().legacy_hash == before.legacy_hash != ""


def test_demo_models_have_no_problem(root):
    report = scan(DEMO_MODELS)
    assert report.added
    assert not report.problems
    assert not ModelFile.objects.exclude(left_out="").exists()
    assert not ModelFile.objects.filter(without_vae=True).exists()


def tagger_in(root: Path, *rows: tuple[str, int], table: str = "wd.csv") -> Path:
    folder = root / "taggers"
    folder.mkdir(exist_ok=True)
    (folder / "wd.onnx").write_bytes(tagger_of_mean_colors())
    if rows:
        (folder / table).write_text(tag_table(*rows))
    return folder


@pytest.mark.parametrize("table", ["wd.csv", "selected_tags.csv"])
def test_tagger_with_its_tag_table_is_usable(root, table):
    tagger_in(root, ("a", 0), ("b", 4), ("c", 9), table=table)
    scan()
    [found] = ModelFile.objects.all()
    assert (found.kind, found.name, found.problem) == (Kind.TAGGER, "wd", "")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ((), "its tag table is missing: put wd.csv or selected_tags.csv beside it"),
        ((("a", 0),), "its tag table wd.csv must have 3 rows (got 1)"),
        ((("a", 0), ("b", 8), ("c", 0)), "its tag table wd.csv has an unknown category in line 3"),
    ],
)
def test_tagger_without_its_own_tag_table_has_a_problem(root, rows, problem):
    tagger_in(root, *rows)
    report = scan()
    [found] = ModelFile.objects.all()
    assert found.kind == Kind.TAGGER
    assert problem in found.problem
    assert list(report.problems) == ["taggers/wd.onnx"]


def test_tag_table_that_is_added_or_removed_is_noticed_by_the_next_scan(root):
    folder = tagger_in(root)
    scan()
    assert ModelFile.objects.get().problem
    tagger_in(root, ("a", 0), ("b", 0), ("c", 0))
    scan()
    assert not ModelFile.objects.get().problem
    assert scan().unchanged == ["taggers/wd.onnx"]
    (folder / "wd.csv").unlink()
    scan()
    assert "missing" in ModelFile.objects.get().problem


def test_scan_fills_the_card_but_never_over_an_edit(root):
    path = safetensors(
        root / "loras" / "style.safetensors",
        LORA,
        **{"modelspec.license": "MIT", "modelspec.author": "Ada", "modelspec.tags": "night, style"},
    )
    scan()
    row = ModelFile.objects.get()
    assert (row.author, row.tags, row.commercial_use) == ("Ada", ["night", "style"], "yes")
    row.author, row.tags = "", ["own"]
    row.mark_edited(["author", "tags", "enabled"])
    row.save()
    safetensors(path, LORA, fill=b"\1", **{"modelspec.license": "CC-BY-NC-4.0", "modelspec.author": "Eve"})
    scan()
    row.refresh_from_db()
    assert (row.author, row.tags) == ("", ["own"])
    assert (row.licence, row.commercial_use) == ("CC-BY-NC-4.0", "no")


def test_row_of_an_older_version_is_described_by_the_next_scan(root):
    safetensors(root / "loras" / "style.safetensors", LORA, **{"modelspec.author": "Ada"})
    scan()
    ModelFile.objects.update(author="", is_described=False)
    assert scan().unchanged
    assert ModelFile.objects.get().author == "Ada"
