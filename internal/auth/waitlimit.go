package auth

import (
	"sync/atomic"
	"time"
)

// waitLimit bounds the requests waiting for one dependency. Each of them holds
// a connection. The service has 3000, and most have to stay free.
type waitLimit struct{ n atomic.Int64 }

// maxWaiters is how many requests may wait for one dependency.
const maxWaiters = 256

// enter reports whether one more request may wait. If so, it must call leave.
func (w *waitLimit) enter() bool {
	if w.n.Add(1) > maxWaiters {
		w.n.Add(-1)
		return false
	}
	return true
}

func (w *waitLimit) leave() { w.n.Add(-1) }

// maxWait bounds one request's wait for the provider's documents.
func maxWait(from tokenSource) time.Duration {
	if from == fromProvider {
		return fetchTimeout + time.Duration(fromProvider) // the code works only once
	}
	return 2 * time.Second
}
