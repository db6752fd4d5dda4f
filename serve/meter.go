package serve

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/residual-ml/residual/inference"
)

// meter counts what a server does, in a registry of its own.
type meter struct {
	registry *prometheus.Registry
	handler  http.Handler
	requests *prometheus.CounterVec
	images   *prometheus.CounterVec
	stages   *prometheus.HistogramVec
	batches  *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	swaps    *prometheus.CounterVec
	stats    statistics
}

// newMeter returns the meter of a line; behind counts the models whose newest file cannot be served, and
// bytes returns the size of the weights.
func newMeter(l *line, behind func() int, bytes func() int64) *meter {
	m := &meter{registry: prometheus.NewRegistry(), stats: statistics{of: map[string]*counts{}}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "residual", Name: name, Help: help}, labels)
	}
	m.requests = counter("requests_total", "Requests, by the pattern of their path and the status of the answer.", "path", "status")
	m.images = counter("images_total", "Images that were computed.", "model")
	m.refusals = counter("refusals_total", "Requests that were refused because of load.", "reason")
	m.swaps = counter("swaps_total", "Changed model files: served now (ok), or not (failed).", "model", "result")
	m.stages = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "residual", Name: "stage_seconds", Help: "Time that an image spent being decoded, waiting for its batch, and in the batch.",
		Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16),
	}, []string{"model", "stage"})
	m.batches = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "residual", Name: "batch_images", Help: "Images in the batch of each image.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 9),
	}, []string{"model"})
	m.registry.MustRegister(m.requests, m.images, m.refusals, m.swaps, m.stages, m.batches,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "residual", Name: "queue_images", Help: "Images that were accepted and are not yet answered."},
			func() float64 { return float64(l.inside.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "residual", Name: "queue_limit", Help: "Images above which requests are refused."},
			func() float64 { return float64(l.most) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "residual", Name: "models_behind", Help: "Models whose newest file cannot be served."},
			func() float64 { return float64(behind()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "residual", Name: "weights_bytes", Help: "Size of the parameters of all models in float32; models with equal weights count once."},
			func() float64 { return float64(bytes()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return m
}

func (m *meter) request(pattern string, status int) {
	m.requests.WithLabelValues(pattern, strconv.Itoa(status)).Inc()
}

func (m *meter) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

func (m *meter) computed(model string, decoded time.Duration, d inference.Output) {
	m.images.WithLabelValues(model).Inc()
	m.stages.WithLabelValues(model, "decode").Observe(decoded.Seconds())
	m.stages.WithLabelValues(model, "queue").Observe(d.Queued.Seconds())
	m.stages.WithLabelValues(model, "compute").Observe(d.Computed.Seconds())
	m.batches.WithLabelValues(model).Observe(float64(d.Batch))
	m.stats.add(model, decoded, d)
}

func (m *meter) swap(model string, done bool) {
	result := "failed"
	if done {
		result = "ok"
	}
	m.swaps.WithLabelValues(model, result).Inc()
}

func (m *meter) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}
