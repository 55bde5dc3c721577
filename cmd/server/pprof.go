//go:build pprof

package main

import (
	"net/http"
	_ "net/http/pprof" //nolint:gosec // on http.DefaultServeMux, which nothing else serves
	"os"
	"time"
)

// The bench's build of the server shows its profiles at PPROF_ADDR. No other build
// has this file: a profile tells too much, and takes too long, for any listener
// of a service.
func init() { //nolint:gochecknoinits // so that no other build knows of it
	server := &http.Server{Addr: os.Getenv("PPROF_ADDR"), ReadHeaderTimeout: time.Second}
	go func() { _ = server.ListenAndServe() }()
}
