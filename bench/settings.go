package main

import "io"

// gpu reports whether both programs compute on a GPU.
func (s *settings) gpu() bool { return s.device == cuda }

// settings are the flags of the program.
type settings struct {
	residual    string // a built program, or "" to build it
	revision    string // revision of the sources; "" where it is unknown
	processor   string // what the table calls the processor; "" is its own name
	device      string // cpu or cuda
	modes       []string
	layouts     []string
	batch       int
	memoryBatch int
	size        int
	rounds      int
	repeat      int
	warmup      int
	threads     int
	json        bool

	// Flags for the whole table and for recorded trainings.
	all         bool
	peers       []string // interpreters with PyTorch
	onnxruntime string   // interpreter with ONNX Runtime
	openvino    string   // interpreter with OpenVINO
	only        []string // rows to measure
	skip        []string // rows that cannot be measured here
	torchOnGPU  []string // settings of PyTorch on a GPU
	again       bool
	epochImages int
	data        string // data set of the loader
	dataDir     string
	photoCount  int    // number of photos that are generated
	run         string // a run folder to record
	recipe      string // output of torch_recipe.py
	note        string
	out, state  string
}

// machine runs the programs.
type machine struct {
	settings
	python  string // interpreter with PyTorch or ONNX Runtime, whichever is compared
	scripts string // folder of the scripts
	program string // path of Residual
	log     io.Writer

	photos  string // folder of JPEG photos, generated for the benchmark
	weights string // folder of generated weights of resnet50
	models  string // folder of generated models in int8
	quant   string // interpreter that quantises them; "" where there is none
	images  string // folder of Fashion-MNIST; "" where it is missing
}
