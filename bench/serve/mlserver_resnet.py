"""MLServer with torchvision's resnet18: an image as BYTES of the Open Inference Protocol.

    python mlserver_resnet.py --port 8001 --batch 16
"""
import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class ResNet(MLModel):
    async def load(self):
        import net
        self.net = net.Net()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        import prepare
        images = [prepare.image(base64.b64decode(text)) for text in payload.inputs[0].data]
        answers = [json.dumps(a) for a in self.net(images)]
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("classes", answers)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1)
    a = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/settings.json", "w") as f:
            json.dump({"host": "127.0.0.1", "http_port": a.port, "grpc_port": a.port + 1, "metrics_port": a.port + 2, "parallel_workers": 0, "debug": False}, f)
        with open(folder + "/model-settings.json", "w") as f:
            settings = {"name": "resnet18", "implementation": "mlserver_resnet.ResNet"}
            if a.batch > 1:
                settings |= {"max_batch_size": a.batch, "max_batch_time": 0.002}
            json.dump(settings, f)
        os.environ["PYTHONPATH"] = here + os.pathsep + os.environ.get("PYTHONPATH", "")
        server = subprocess.Popen([sys.executable, "-c", "from mlserver.cli import main; main()", "start", folder])
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        sys.exit(server.wait())
