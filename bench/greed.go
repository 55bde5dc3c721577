package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// greed is a user who asks until the limit refuses.
type greed struct {
	user    int
	began   time.Time
	took    time.Duration
	vended  int
	refused bool
}

// spend asks for up to n tokens with 16 callers. It ends at the first refusal.
func (g *greed) spend(ctx context.Context, addr string, request []byte, n int) error {
	var asked, vended atomic.Int64
	var refused atomic.Bool
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			var c *caller
			defer func() { hangUp([]*caller{c}) }()
			for !refused.Load() && ctx.Err() == nil && asked.Add(1) <= int64(n) {
				var a answer
				c = a.ask(ctx, c, addr, request)
				if a.vended {
					vended.Add(1)
				}
				if a.status == http.StatusTooManyRequests {
					refused.Store(true)
				}
			}
		})
	}
	callers.Wait()
	g.vended += int(vended.Load())
	g.refused = g.refused || refused.Load()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("a user who uses the allowance up: %w", err)
	}
	return nil
}

// most is what one shared limit allows in the time: the allowance and its refill.
func (g *greed) most() int {
	return int(allowance * (1 + g.took.Seconds()/allowanceWindow.Seconds()))
}
