"""classify.py NETWORK.onnx NETWORK.pth PICTURES CLASSIFY

Runs the example `classify` (the program CLASSIFY) with torchvision's MobileNetV2 weights on photographs, and asks
onnxruntime about the same prepared tensors: same classes, every logit within 1e-4 of the largest. The pictures
themselves are given to `classify` too; it scales them by itself, so that only the class has to agree.
"""
import json, pathlib, struct, subprocess, sys, tempfile
import numpy as np, onnxruntime
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "shared/models"))
import torch_pth

# Class and score of the largest logit.
EXPECTED = {"chelsea.png": (285, 19.02), "coffee.png": (967, 21.08), "rocket.jpg": (812, 12.30), "china.jpg": (698, 14.81)}
WITHIN = 1e-4


def write(path, tensors):
    """A safetensors file: length of the header, header, data."""
    header, data, at = {}, [], 0
    for name, t in tensors.items():
        b = np.ascontiguousarray(t, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + len(b)]}
        data.append(b)
        at += len(b)
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(data))


def read(path, name):
    b = path.read_bytes()
    (n,) = struct.unpack("<Q", b[:8])
    entry = json.loads(b[8 : 8 + n])[name]
    first, end = entry["data_offsets"]
    return np.frombuffer(b[8 + n + first : 8 + n + end], np.float32).reshape(entry["shape"])


def prepare(path):
    picture = Image.open(path).convert("RGB")
    w, h = picture.size
    picture = picture.resize((round(256 * w / min(w, h)), round(256 * h / min(w, h))), Image.BILINEAR)
    w, h = picture.size
    left, top = (w - 224) // 2, (h - 224) // 2
    pixels = np.asarray(picture.crop((left, top, left + 224, top + 224)), np.float32) / 255
    mean, deviation = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    return ((pixels - mean) / deviation).transpose(2, 0, 1)[None]


def main(onnx, pth, pictures, classify):
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        weights, tensor, out = (folder / f"{n}.safetensors" for n in ("weights", "input", "logits"))
        floats = {k: v for k, v in torch_pth.load(pth).items() if v.dtype == np.float32}
        write(weights, floats)
        for name, (top, score) in EXPECTED.items():
            (path,) = pathlib.Path(pictures).rglob(name)
            x = prepare(path)
            write(tensor, {"input": x})
            (want,) = session.run(None, {session.get_inputs()[0].name: x})
            assert want.argmax() == top and abs(want.max() - score) < 0.01, (name, want.argmax(), want.max())
            for picture, layout in [(tensor, "nhwc"), (tensor, "nchw"), (path, "nhwc")]:
                command = [classify, "mobilenet_v2", weights, picture, "--logits", out, "--layout", layout]
                text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                got = read(out, "logits")
                assert got.shape == want.shape and int(text.split("class")[1].split()[0]) == got.argmax() == top, text
                off = np.abs(got - want).max() / np.abs(want).max()
                if picture == tensor:
                    assert off <= WITHIN, (name, layout, off)
                print(f"{name} {picture.suffix} {layout}: class {top}, logit {got.max():.4f}, off by {off:.1e} of the largest")


main(*sys.argv[1:])
