"""LitServe with torchvision's resnet18: an image in the field "content" of a form, classes as JSON.

    python litserve_resnet.py --port 8001 --batch 16
"""
import argparse

import litserve

import net
import prepare


class API(litserve.LitAPI):
    def setup(self, device):
        self.net = net.Net()

    def decode_request(self, request):
        return prepare.image(request["content"].file.read())

    def batch(self, images):
        return images

    def predict(self, images):
        answers = self.net(images if isinstance(images, list) else [images])
        return answers if isinstance(images, list) else answers[0]

    def unbatch(self, answers):
        return answers

    def encode_response(self, answer):
        return {"classes": answer}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1)
    a = parser.parse_args()
    api = API(max_batch_size=a.batch, batch_timeout=0.002)
    litserve.LitServer(api, accelerator="cpu", timeout=60).run(host="127.0.0.1", port=a.port, generate_client_file=False, log_level="warning")
