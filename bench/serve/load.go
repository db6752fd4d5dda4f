package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// clients are the numbers of clients that each ask again when they are answered.
var clients = []uint64{1, 2, 4, 8, 16, 32, 64}

// limits are the p99 at which servers are compared.
var limits = []time.Duration{25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, time.Second}

// point is what a server did under a load.
type point struct {
	clients  uint64
	rate     float64 // answers a second
	p50, p99 time.Duration
	failed   int
}

// sweep starts the server, measures it with ever more clients and ends it.
func (s server) sweep(photos [][]byte) (points []point, err error) {
	p, err := s.start()
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := p.firstAnswer(photos[0]); err != nil {
		return nil, err
	}
	closed(s, photos, 8, time.Second) // warm
	for _, n := range clients {
		q := closed(s, photos, n, *seconds)
		fmt.Printf("# %s, %d clients: %.0f/s, p50 %v, p99 %v, %d failed\n", s.name, n, q.rate, q.p50.Round(time.Millisecond/10), q.p99.Round(time.Millisecond/10), q.failed)
		points = append(points, q)
	}
	return points, nil
}

// closed is a load of n clients.
func closed(s server, photos [][]byte, n uint64, d time.Duration) point {
	a := vegeta.NewAttacker(vegeta.Workers(n), vegeta.MaxWorkers(n), vegeta.Connections(int(n)), vegeta.Timeout(time.Minute))
	var m vegeta.Metrics
	for r := range a.Attack(s.targets(photos), vegeta.Rate{}, d, s.name) {
		m.Add(r)
	}
	m.Close()
	return point{n, m.Throughput, m.Latencies.P50, m.Latencies.P99, int(float64(m.Requests)*(1-m.Success) + 0.5)}
}

// targets are requests with one photo after the other.
func (s server) targets(photos [][]byte) vegeta.Targeter {
	var all []vegeta.Target
	for _, photo := range photos {
		body, kind := s.request(photo)
		all = append(all, vegeta.Target{Method: "POST", URL: s.url(), Body: body, Header: http.Header{"Content-Type": {kind}}})
	}
	return vegeta.NewStaticTargeter(all...)
}

// table prints the most answers a second of each server within each p99.
func table(servers []server, points [][]point) {
	fmt.Print("\nRequests a second, at most, with a p99 of at most:\n\n| server |")
	for _, l := range limits {
		fmt.Printf(" %v |", l)
	}
	fmt.Print(" any |\n|---|", strings.Repeat("---|", len(limits)+1), "\n")
	for i, s := range servers {
		fmt.Printf("| %s |", s.name)
		for j := range len(limits) + 1 {
			best := 0.0
			for _, p := range points[i] {
				if p.failed == 0 && (j == len(limits) || p.p99 <= limits[j]) {
					best = max(best, p.rate)
				}
			}
			if best == 0 {
				fmt.Print(" - |")
			} else {
				fmt.Printf(" %.0f |", best)
			}
		}
		fmt.Println()
	}
}

// overload asks residual serve for more than it can.
func overload(photos [][]byte, peak float64) error {
	s := ours(*model)
	p, err := s.start()
	if err != nil {
		return err
	}
	defer p.stop()
	if _, err := p.firstAnswer(photos[0]); err != nil {
		return err
	}
	closed(s, photos, 32, 2*time.Second)
	fmt.Printf("\n| load | asked/s | goodput/s | of peak | p99 of accepted | queue over throughput + 20 %% | refused | memory before, after |\n|---|---|---|---|---|---|---|---|\n")
	for _, times := range []float64{0.9, 2, 10} {
		before := p.status("VmRSS")
		a := vegeta.NewAttacker(vegeta.Workers(64), vegeta.MaxWorkers(2000), vegeta.Connections(2000), vegeta.Timeout(time.Minute))
		var good, refused vegeta.Metrics
		other := 0
		for r := range a.Attack(s.targets(photos), vegeta.Rate{Freq: int(times * peak), Per: time.Second}, 2**seconds, s.name) {
			switch r.Code {
			case 200:
				good.Add(r)
			case 503:
				refused.Add(r)
			default:
				other++
			}
		}
		good.Close()
		refused.Close()
		bound := time.Duration(1.2 * queue / good.Throughput * float64(time.Second))
		fmt.Printf("| %.1f x | %.0f | %.0f | %.2f | %v | %v | %d, others %d | %d, %d MiB |\n", times, times*peak, good.Throughput, good.Throughput/peak,
			good.Latencies.P99.Round(time.Millisecond), bound.Round(time.Millisecond), refused.Requests, other, before>>20, p.status("VmRSS")>>20)
	}
	return nil
}

// starts prints the time from the start of the process to its first answer, and the peak of its memory, then and under load.
func starts(photos [][]byte) error {
	fmt.Printf("\n| model | first answer, least and median | peak memory then | under load |\n|---|---|---|---|\n")
	for _, file := range []string{*model, *large} {
		if file == "" {
			continue
		}
		s := ours(file)
		var took []time.Duration
		var then, loaded int64
		const times = 7
		for i := range times {
			p, err := s.start()
			if err != nil {
				return err
			}
			d, err := p.firstAnswer(photos[0])
			if err != nil {
				p.stop()
				return err
			}
			took, then = append(took, d), max(then, p.status("VmHWM"))
			if i == times-1 {
				closed(s, photos, 32, *seconds)
				loaded = p.status("VmHWM")
			}
			p.stop()
		}
		took = took[1:] // the first brings the files into memory
		slices.Sort(took)
		fmt.Printf("| %s | %v, %v | %d MiB | %d MiB |\n", file, took[0].Round(time.Millisecond), took[len(took)/2].Round(time.Millisecond), then>>20, loaded>>20)
	}
	return nil
}
