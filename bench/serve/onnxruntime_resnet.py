"""ONNX Runtime behind uvicorn: an image as the body of a POST, classes as JSON.

    python onnxruntime_resnet.py --port 8001 --model resnet18.onnx --workers 1
"""
import argparse
import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor

import onnxruntime
import uvicorn

import prepare

cores = len(os.sched_getaffinity(0))
pool = ThreadPoolExecutor(cores)
session = None


def answer(content):
    x = prepare.image(content)[None]
    logits = session.run(None, {session.get_inputs()[0].name: x})[0][0]
    return json.dumps({"classes": prepare.classes(logits)}).encode()


async def app(scope, receive, send):
    global session
    if scope["type"] == "lifespan":
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, cores // int(os.environ["BENCH_WORKERS"]))
        session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    content = b""
    while True:
        message = await receive()
        content += message.get("body", b"")
        if not message.get("more_body"):
            break
    body = await asyncio.get_running_loop().run_in_executor(pool, answer, content)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--workers", type=int, default=1)
    a = parser.parse_args()
    os.environ |= {"BENCH_MODEL": a.model, "BENCH_WORKERS": str(a.workers)}
    uvicorn.run("onnxruntime_resnet:app", host="127.0.0.1", port=a.port, workers=a.workers, log_level="warning", lifespan="on")
