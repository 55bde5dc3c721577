package main

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for p, want := range map[int]time.Duration{0: 1, 1: 1, 50: 50, 99: 99, 100: 100} {
		if got := percentile(hundred, p); got != want {
			t.Errorf("percentile %d of 1 to 100 is %d, want %d", p, got, want)
		}
	}
	if got := percentile([]time.Duration{7}, 99); got != 7 {
		t.Errorf("percentile 99 of one is %d, want 7", got)
	}
}

func TestReportAddsRoundsAndDivides(t *testing.T) {
	var r table
	for range 2 {
		r.add([]cell{
			{target: theHandler, connections: 16, took: 1, latencies: make([]time.Duration, 10), cpu: []time.Duration{10, 50}, mallocs: 1000},
			{target: theServer, connections: 16, took: 1, latencies: make([]time.Duration, 5), cpu: []time.Duration{16, 200}, mallocs: 700},
		})
	}
	server := r.cell(theServer, 16)
	if got := r.ratio(server, theHandler); got != 1.6 {
		t.Errorf("the ratio is %v, want the median of 16/10 and 200/50", got)
	}
	if got := r.extraMallocs(server); got != 40 {
		t.Errorf("there are %v more allocations, want 140-100", got)
	}
}
