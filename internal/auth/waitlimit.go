package auth

import (
	"sync/atomic"
	"time"
)

// waiting counts requests that wait for somebody else's answer. They keep their
// connections, of which the service has 3000, so that most have to stay free.
type waiting struct{ n atomic.Int64 }

// mostWaiting bounds the requests that wait for one thing.
const mostWaiting = 256

// enter reports whether one more may wait. Then it has to leave.
func (w *waiting) enter() bool {
	if w.n.Add(1) > mostWaiting {
		w.n.Add(-1)
		return false
	}
	return true
}

func (w *waiting) leave() { w.n.Add(-1) }

// waitAtMost bounds the wait of one request for the provider's documents.
func waitAtMost(from source) time.Duration {
	if from == fromProvider {
		return fetchTimeout + time.Duration(fromProvider) // its code is good once
	}
	return 2 * time.Second
}
