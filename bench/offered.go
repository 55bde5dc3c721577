package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// offered is a load at a constant rate. A caller who is late does not wait any longer,
// and its delay counts as latency.
type offered struct {
	addr     string
	requests [][]byte // one for each user
	rate     int      // per second
}

// offerers is the number of connections. With 64, answers may take 128 ms on average at
// 500 requests a second.
const offerers = 64

// answer is the result of one request.
type answer struct {
	user   int
	due    time.Duration // since the load's beginning
	took   time.Duration // since due
	status int           // 0 without an answer
	by     string        // the replica
	id     string        // X-Request-Id
	vended bool
}

func (a answer) ended() time.Duration { return a.due + a.took }

// run offers the load until stop is done. It returns all answers, also bad ones.
func (o offered) run(ctx context.Context, stop <-chan struct{}) []answer {
	began := time.Now()
	all := make([][]answer, offerers)
	var group errgroup.Group
	for i := range offerers {
		group.Go(func() error {
			all[i] = o.offer(ctx, stop, i, began)
			return nil
		})
	}
	_ = group.Wait() // never fails
	var answers []answer
	for _, some := range all {
		answers = append(answers, some...)
	}
	return answers
}

// offer sends each request of one caller when it is due.
func (o offered) offer(ctx context.Context, stop <-chan struct{}, first int, began time.Time) []answer {
	var c *caller
	defer func() { hangUp([]*caller{c}) }()
	var answers []answer
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := first; ; i += offerers {
		due := time.Duration(i) * time.Second / time.Duration(o.rate)
		timer.Reset(time.Until(began.Add(due)))
		select {
		case <-stop:
			return answers
		case <-timer.C:
		}
		a := answer{user: i % len(o.requests), due: due}
		c = a.ask(ctx, c, o.addr, o.requests[a.user])
		a.took = time.Since(began) - due
		answers = append(answers, a)
	}
}

// ask sends a request and fills the answer. It returns the connection for the next
// request, or nil.
func (a *answer) ask(ctx context.Context, c *caller, addr string, request []byte) *caller {
	if c == nil {
		var err error
		if c, err = dial(ctx, addr); err != nil {
			return nil
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		hangUp([]*caller{c})
		return nil
	}
	r, err := c.exchange(request)
	if err != nil {
		hangUp([]*caller{c})
		return nil
	}
	a.status, a.vended = r.status, r.vended()
	a.by, a.id = r.header.Get(servedBy), r.header.Get("X-Request-Id")
	if r.last {
		hangUp([]*caller{c})
		return nil
	}
	return c
}

// after closes its channel when the time is over.
func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

// failures counts the answers without a token, by status.
func failures(answers []answer) map[int]int {
	found := map[int]int{}
	for _, a := range answers {
		if !a.vended {
			found[a.status]++
		}
	}
	return found
}

// delays returns the time of each answer since it was due.
func delays(answers []answer) []time.Duration {
	var all []time.Duration
	for _, a := range answers {
		all = append(all, a.took)
	}
	return all
}

// busiest returns the largest share of a replica in the answers.
func busiest(answers []answer) float64 {
	count, most := map[string]int{}, 0
	for _, a := range answers {
		count[a.by]++
		most = max(most, count[a.by])
	}
	return float64(most) / float64(len(answers))
}
