package emulator

import (
	"crypto/sha256"
	"net/http"
	"time"
)

const idempotencyLife = 24 * time.Hour

// answered is a success stored for its Idempotency-Key.
type answered struct {
	body   [sha256.Size]byte // of the request
	at     time.Time
	answer answer
}

// once runs create with the lock held, or repeats the stored answer for the same
// Idempotency-Key and body. Only successes are stored.
func (e *Emulator) once(c call, op Operation, create func() answer) answer {
	now := e.options.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	header := c.request.Header.Get("Idempotency-Key")
	if header == "" {
		return create()
	}
	// The digest bounds the memory of long keys.
	digest := sha256.Sum256([]byte(string(op) + " " + c.id + " " + header))
	key, body := string(digest[:]), sha256.Sum256(c.body)
	if earlier, ok := e.answered.get(key); ok && now.Sub(earlier.at) < idempotencyLife {
		if earlier.body != body {
			return refuse(http.StatusBadRequest, "The Idempotency-Key was used with another body.")
		}
		return earlier.answer
	}
	a := create()
	if a.status < http.StatusMultipleChoices {
		e.answered.put(key, answered{body: body, at: now, answer: a})
	}
	return a
}
