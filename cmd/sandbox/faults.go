package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"dropgate/internal/dwolla/emulator"
)

// faultName names a fault of Dwolla.
type faultName string

// The faults of the switch on the demo page. Each affects the calls in which the
// service asks Dwolla for a client token.
const (
	faultNone     faultName = "none"
	faultThrottle faultName = "throttle" // 429
	faultSlow     faultName = "slow"     // five seconds late
	faultOutage   faultName = "outage"   // no answer
)

// throttledFor is the Retry-After of a 429, in seconds.
const throttledFor = "3"

func (n faultName) fault() emulator.Fault {
	switch n {
	case faultThrottle:
		return emulator.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {throttledFor}}}
	case faultSlow:
		return emulator.Fault{Latency: 5 * time.Second}
	case faultOutage:
		return emulator.Fault{CutBefore: true}
	case faultNone:
	}
	return emulator.Fault{}
}

// faults switches the emulator's fault. It is safe for concurrent use.
type faults struct {
	emulator *emulator.Emulator // nil: there are no faults

	mu      sync.Mutex
	current faultName
}

func (f *faults) choices() []faultName {
	if f.emulator == nil {
		return []faultName{}
	}
	return []faultName{faultNone, faultThrottle, faultSlow, faultOutage}
}

func (f *faults) now() faultName {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == "" {
		return faultNone
	}
	return f.current
}

func (f *faults) set(name faultName) error {
	if f.emulator == nil {
		return errors.New("Dwolla's own sandbox has no faults to switch on") //nolint:staticcheck // a sentence for the page
	}
	if !slices.Contains(f.choices(), name) {
		return fmt.Errorf("the fault is none of %v", f.choices())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.emulator.ClearFaults()
	if name != faultNone {
		f.emulator.InjectFault(emulator.OpCreateClientToken, name.fault())
	}
	f.current = name
	return nil
}
