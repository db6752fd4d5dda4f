"""Checks a running `residual serve` with other people's clients.

    python clients.py http://127.0.0.1:8000 MODEL photo.jpg

The clients are tritonclient[http] 2.73.0, synchronous and asynchronous, and
open-inference-openapi 2.0.0.1 (Python 3.9 or later). TestClients makes them a virtual
environment of their own, starts the server and runs this file.
"""

import asyncio
import base64
import json
import sys
import urllib.request

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from open_inference.openapi.client import AsyncOpenInferenceClient, InferenceRequest, OpenInferenceClient
from tritonclient.utils import InferenceServerException

url, model, photo = sys.argv[1:4]
host = url.removeprefix("http://")
content = open(photo, "rb").read()
done = 0


def check(what, ok):
    global done
    if not ok:
        sys.exit(f"clients.py: {what}")
    done += 1


def refused(what, part, call):
    """call must fail with an error that has the text part."""
    try:
        call()
    except InferenceServerException as err:
        return check(f"{what}: the error is {err}", part in str(err))
    check(f"{what}: no error", False)


def predicted():
    request = urllib.request.Request(url + "/predict?k=1000&model=" + model, data=content, method="POST")
    return {p["index"]: p["probability"] for p in json.load(urllib.request.urlopen(request))["classes"]}


def batch(metadata, n=3):
    shape = [n] + [24 if d < 0 else d for d in metadata["inputs"][0]["shape"][1:]]
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def tensor(x, kind="FP32", binary=True, name="input"):
    t = triton.InferInput(name, list(x.shape), kind)
    t.set_data_from_numpy(x, binary_data=binary)
    return t


def with_triton():
    c = triton.InferenceServerClient(host)
    check("server live", c.is_server_live())
    check("server ready", c.is_server_ready())
    check("model ready", c.is_model_ready(model))
    about = c.get_server_metadata()
    check(f"server metadata {about}", about["name"] == "residual" and "binary_tensor_data" in about["extensions"])
    metadata = c.get_model_metadata(model)
    version = metadata["versions"][0]
    check("metadata of the version", c.get_model_metadata(model, version) == metadata)
    check("version ready", c.is_model_ready(model, version))
    check("no such version", not c.is_model_ready(model, "nothing"))
    check("no such model", not c.is_model_ready("nothing"))
    config = c.get_model_config(model)
    check(f"config {config}", config["input"][0]["dims"] == metadata["inputs"][0]["shape"][1:])
    check("index", c.get_model_repository_index()[0]["state"] == "READY")

    x = batch(metadata)
    binary = c.infer(model, [tensor(x)])
    check("model and version in the answer", binary.get_response()["model_version"] == version)
    logits = binary.as_numpy("logits")
    check("shape of the logits", logits.shape == (len(x), metadata["outputs"][0]["shape"][1]))
    plain = c.infer(
        model, [tensor(x, binary=False)], request_id="7",
        outputs=[triton.InferRequestedOutput("logits", binary_data=False), triton.InferRequestedOutput("probabilities", binary_data=False)])
    check("the id comes back", plain.get_response()["id"] == "7")
    check("JSON and binary have the same bits", np.array_equal(plain.as_numpy("logits"), logits))
    p = np.exp(logits - logits.max(1, keepdims=True))
    check("probabilities", np.allclose(plain.as_numpy("probabilities"), p / p.sum(1, keepdims=True), atol=1e-6))
    alone = c.infer(model, [tensor(x[1:2])]).as_numpy("logits")
    check("the same bits alone", np.array_equal(alone, logits[1:2]))
    for algorithm in "gzip", "deflate":
        packed = c.infer(model, [tensor(x)], request_compression_algorithm=algorithm, response_compression_algorithm=algorithm)
        check(algorithm, np.array_equal(packed.as_numpy("logits"), logits))
        many = np.concatenate([x] * 16)
        asked = [triton.InferRequestedOutput("logits", binary_data=False), triton.InferRequestedOutput("probabilities", binary_data=True)]
        packed = c.infer(model, [tensor(many)], outputs=asked, request_compression_algorithm=algorithm, response_compression_algorithm=algorithm)
        check(f"a long answer by {algorithm}", np.array_equal(packed.as_numpy("logits"), np.concatenate([logits] * 16)))
    half = c.infer(model, [tensor(x.astype(np.float16), "FP16")]).as_numpy("logits")
    check("FP16", np.array_equal(half, c.infer(model, [tensor(x.astype(np.float16).astype(np.float32))]).as_numpy("logits")))
    double = c.infer(model, [tensor(x.astype(np.float64), "FP64")]).as_numpy("logits")
    check("FP64", np.array_equal(double, logits))
    for in_binary in True, False:
        top = c.infer(model, [tensor(x)], outputs=[triton.InferRequestedOutput("logits", binary_data=in_binary, class_count=2)]).as_numpy("logits")
        first = top[0][0].decode() if isinstance(top[0][0], bytes) else top[0][0]
        check(f"classification {first}", top.shape == (len(x), 2) and int(first.split(":")[1]) == logits[0].argmax() and len(first.split(":")) == 3)

    files = np.array([content, content], dtype=object)
    seen = c.infer(model, [tensor(files, "BYTES")], outputs=[triton.InferRequestedOutput("probabilities")]).as_numpy("probabilities")
    expected = predicted()
    check("an encoded image as BYTES", all(abs(seen[0][i] - p) < 1e-6 for i, p in expected.items()) and np.array_equal(seen[0], seen[1]))
    coded = np.array([base64.b64encode(content)], dtype=object)
    coded = c.infer(model, [tensor(coded, "BYTES", binary=False)]).as_numpy("probabilities")
    check("an encoded image in JSON", np.array_equal(coded[0], seen[0]))

    before = c.get_inference_statistics(model)["model_stats"][0]
    c.infer(model, [tensor(x)])
    after = c.get_inference_statistics()["model_stats"][0]
    check("statistics", after["inference_count"] - before["inference_count"] == len(x) and after["inference_stats"]["success"]["ns"] > 0)

    refused("another model", "no model", lambda: c.infer("nothing", [tensor(x)]))
    refused("another version", "no version", lambda: c.infer(model, [tensor(x)], model_version="1"))
    refused("another input", "one input", lambda: c.infer(model, [tensor(x, name="other")]))
    refused("another output", "no output", lambda: c.infer(model, [tensor(x)], outputs=[triton.InferRequestedOutput("other")]))
    refused("another shape", "shape", lambda: c.infer(model, [tensor(x[:, :, :1])]) if metadata["inputs"][0]["shape"][2] > 1 else c.infer(model, [tensor(x[0])]))
    for kind, dtype in {"UINT8": np.uint8, "INT64": np.int64, "BOOL": np.bool_}.items():
        refused(kind, "takes FP32", lambda: c.infer(model, [tensor(x.astype(dtype), kind)]))
    refused("no image", "JPEG", lambda: c.infer(model, [tensor(np.array([b"text"], dtype=object), "BYTES")]))
    refused("load", "not allowed", lambda: c.load_model(model))
    refused("unload", "not allowed", lambda: c.unload_model(model))
    refused("trace settings", "tracing", c.get_trace_settings)
    refused("changing trace settings", "tracing", lambda: c.update_trace_settings(settings={"trace_rate": "1"}))
    refused("log settings", "log settings", c.get_log_settings)
    refused("changing log settings", "log settings", lambda: c.update_log_settings({"log_info": True}))
    refused("shared memory", "shared memory", c.get_system_shared_memory_status)
    refused("registering shared memory", "shared memory", lambda: c.register_system_shared_memory("a", "/a", 8))
    refused("unregistering shared memory", "shared memory", c.unregister_system_shared_memory)
    refused("CUDA shared memory", "shared memory", c.get_cuda_shared_memory_status)
    return metadata, x, logits, seen[0]


async def with_triton_aio(metadata, x, logits):
    c = triton_aio.InferenceServerClient(host)
    check("server ready (aio)", await c.is_server_ready())
    check("metadata (aio)", await c.get_model_metadata(model) == metadata)
    answers = await asyncio.gather(*[c.infer(model, [tensor(x[i:i + 1])]) for i in range(len(x)) for _ in range(8)])
    check("the same bits in company (aio)", all(np.array_equal(a.as_numpy("logits"), logits[i // 8:i // 8 + 1]) for i, a in enumerate(answers)))
    try:
        await c.infer(model, [tensor(x, name="other")])
        check("another input (aio): no error", False)
    except InferenceServerException as err:
        check(f"another input (aio): {err}", "one input" in str(err))
    await c.close()


def request(x):
    return InferenceRequest(inputs=[{"name": "input", "shape": list(x.shape), "datatype": "FP32", "data": x.tolist()}])


def same(answer, logits):
    out = next(o for o in answer.outputs if o.name == "logits")
    values = np.array(out.data.__root__, dtype=np.float32).reshape(out.shape)
    return np.array_equal(values, logits)


def with_open_inference(metadata, x, logits):
    c = OpenInferenceClient(base_url=url)
    c.check_server_liveness()
    c.check_server_readiness()
    c.check_model_readiness(model)
    version = metadata["versions"][0]
    c.check_model_version_readiness(model, version)
    check("server metadata", c.read_server_metadata().name == "residual")
    check("model metadata", c.read_model_metadata(model).inputs[0].name == "input")
    check("metadata of the version", c.read_model_version_metadata(model, version).versions == [version])
    check("infer", same(c.model_infer(model, request=request(x)), logits))
    check("infer of the version", same(c.model_version_infer(model, version, request=request(x)), logits))
    try:
        c.read_model_metadata("nothing")
        check("no such model: no error", False)
    except Exception as err:  # the client has a class for every status
        check(f"no such model: {err}", getattr(err, "status_code", 0) == 404 and "no model" in str(err.body))


async def with_open_inference_async(x, logits):
    c = AsyncOpenInferenceClient(base_url=url)
    await c.check_server_readiness()
    check("infer (async)", same(await c.model_infer(model, request=request(x)), logits))


metadata, x, logits, _ = with_triton()
asyncio.run(with_triton_aio(metadata, x, logits))
with_open_inference(metadata, x, logits)
asyncio.run(with_open_inference_async(x, logits))
print(f"{done} checks passed")
