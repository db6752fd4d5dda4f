// Package serve answers HTTP requests with the predictions of trained models.
//
// A Server is an http.Handler, which goes into any mux:
//
//	s, err := serve.New([]serve.Model{serve.File("shoes", "runs/train-1", dev)}, serve.Options{})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	http.Handle("/", s)
//
// It answers two kinds of clients: people and programs that send an image (POST /predict) and
// read JSON, and clients of the Open Inference Protocol, version 2 (/v2), among them those of
// Triton with its binary tensors. Requests at the same time share batches; a full queue
// refuses at once; a model whose file changes is replaced between two batches. The page at /
// classifies images in a browser, /metrics is for Prometheus, and /openapi.json describes all of
// it.
//
// The package has no global state: every Server has its own models, metrics and log. It never
// trains, and no request names a file.
package serve
