//go:build pprof

package main

import (
	"net/http"
	_ "net/http/pprof" //nolint:gosec // on http.DefaultServeMux, which nothing else serves
	"os"
	"time"
)

// The benchmarks' build serves profiles at PPROF_ADDR. No other build has this file:
// a profile reveals too much and takes too long for a listener of the service.
func init() { //nolint:gochecknoinits // keeps it out of main, and so out of other builds
	server := &http.Server{Addr: os.Getenv("PPROF_ADDR"), ReadHeaderTimeout: time.Second}
	go func() { _ = server.ListenAndServe() }()
}
