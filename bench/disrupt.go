package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of events under load.
const (
	killed  = "`kill -9` of one of three"
	added   = "one more replica starts"
	drained = "`SIGTERM` of one of four"
)

// The settings of the disrupted replicas. The allowance is small enough to be used up,
// and refills faster than the load of one user.
const (
	allowance       = 240
	allowanceWindow = time.Minute
	drainDelay      = 3 * time.Second // longer than HAProxy takes to notice
)

// greedyUsers are the last users. They use their allowances up, one in each cycle.
const greedyUsers = 20

// quietTime is the time under load after each event.
const quietTime = 3 * time.Second

// disruption is replicas under load that come and go.
type disruption struct {
	*stage

	backends backends
	group    *replicaGroup
	balancer *balancer
	running  []*replica // the oldest first
	spare    []*replica
	began    time.Time
	events   []event
	greed    []greed
	plain    []answer // HAProxy retries refused connections only
	retried  []answer // it retries unanswered requests, too
	probes   int      // vends by the bench itself, to see a server start
	trail    trail
}

// event is something that happens to a replica.
type event struct {
	kind    string
	replica string
	at      time.Duration // since the load's beginning
	until   time.Duration // of the next event
	noticed time.Duration // from at until HAProxy has seen it
	done    time.Duration // from at until the process works, or has ended
}

// disrupt runs the second part of the bench.
func (m *scaleBench) disrupt(ctx context.Context) (*disruption, error) {
	like := m.recipe("CUSTOMER_CACHE=5m", fmt.Sprintf("RATE_LIMIT_USER=%d/%s", allowance, allowanceWindow), "SHUTDOWN_DELAY="+drainDelay.String())
	group, err := m.newGroup(ctx, "disrupted", scaleReplicas+1, like, m.options)
	if err != nil {
		return nil, err
	}
	if err := group.startAll(ctx, m.stage, m.backends, scaleReplicas); err != nil {
		return nil, err
	}
	d := &disruption{
		stage: m.stage, backends: m.backends, group: group, probes: scaleReplicas,
		running: group.replicas[:scaleReplicas:scaleReplicas], spare: group.replicas[scaleReplicas:],
	}
	fronts := []front{
		{name: "plain", replicas: group.replicas, retryOn: "conn-failure"},
		{name: "retried", replicas: group.replicas, retryOn: "conn-failure empty-response"},
	}
	if d.balancer, err = m.startBalancer(ctx, fronts); err != nil {
		return nil, err
	}
	for _, r := range d.running {
		if err := d.balancer.await(ctx, r.name, "UP"); err != nil {
			return nil, err
		}
	}
	if err := d.balancer.await(ctx, d.spare[0].name, "DOWN"); err != nil {
		return nil, err
	}
	if err := d.underLoad(ctx, m, fronts); err != nil {
		return nil, err
	}
	if d.trail, err = readTrail(group.replicas); err != nil {
		return nil, err
	}
	return d, nil
}

// underLoad runs the cycles while both fronts have half of the load each.
func (d *disruption) underLoad(ctx context.Context, m *scaleBench, fronts []front) error {
	stop, ended := make(chan struct{}), make(chan struct{}, 2)
	d.began = time.Now()
	for i, into := range []*[]answer{&d.plain, &d.retried} {
		load := offered{fronts[i].addr, requestsTo(fronts[i].addr, d.group.like.credentials)[:users-greedyUsers], m.options.rate / 2}
		go func() {
			*into = load.run(ctx, stop)
			ended <- struct{}{}
		}()
	}
	err := pauseFor(ctx, quietTime)
	for round := 0; err == nil && round < m.options.rounds; round++ {
		_, _ = fmt.Fprintf(m.progress, "replicas that come and go, round %d of %d\n", round+1, m.options.rounds)
		err = d.cycle(ctx, users-1-round, fronts[0].addr)
		m.forgetLogs()
	}
	close(stop)
	<-ended
	<-ended
	if n := len(d.events); n > 0 {
		d.events[n-1].until = time.Since(d.began)
	}
	return err
}

// cycle kills a replica, adds two, and drains one. At the end there are three again.
func (d *disruption) cycle(ctx context.Context, user int, addr string) error {
	g := greed{user: user, began: time.Now()}
	requests := requestsTo(addr, d.group.like.credentials)
	if err := g.spend(ctx, addr, requests[user], allowance/2); err != nil {
		return err
	}
	victim := d.take()
	if err := d.happen(ctx, killed, victim, victim.kill, "DOWN"); err != nil {
		return err
	}
	if err := g.spend(ctx, addr, requests[user], scaleReplicas*allowance); err != nil {
		return err
	}
	g.took = time.Since(g.began)
	d.greed = append(d.greed, g)
	for range 2 {
		if err := d.add(ctx); err != nil {
			return err
		}
	}
	oldest := d.take()
	return d.happen(ctx, drained, oldest, oldest.drain, "DOWN")
}

// take removes the oldest replica from those that run.
func (d *disruption) take() *replica {
	r := d.running[0]
	d.running, d.spare = d.running[1:], append(d.spare, r)
	return r
}

func (d *disruption) add(ctx context.Context) error {
	r := d.spare[0]
	d.spare, d.running = d.spare[1:], append(d.running, r)
	d.probes++
	return d.happen(ctx, added, r, func() error { return d.group.start(ctx, d.stage, d.backends, r) }, "UP")
}

// happen does something to a replica, and waits until HAProxy has seen it and some quiet
// time has passed.
func (d *disruption) happen(ctx context.Context, kind string, r *replica, do func() error, state string) error {
	now := time.Now()
	if n := len(d.events); n > 0 {
		d.events[n-1].until = now.Sub(d.began)
	}
	done := make(chan error, 1)
	e := event{kind: kind, replica: r.name, at: now.Sub(d.began)}
	go func() {
		err := do()
		e.done = time.Since(now)
		done <- err
	}()
	if err := d.balancer.await(ctx, r.name, state); err != nil {
		return err
	}
	e.noticed = time.Since(now)
	if err := <-done; err != nil {
		return err
	}
	d.events = append(d.events, e)
	return pauseFor(ctx, quietTime)
}

// window returns the answers that ended between an event and the next.
func (e event) window(answers []answer) []answer {
	var found []answer
	for _, a := range answers {
		if e.at <= a.ended() && a.ended() < e.until {
			found = append(found, a)
		}
	}
	return found
}

// lastFailure is the time from the event to the last failed answer.
func (e event) lastFailure(answers []answer) time.Duration {
	var last time.Duration
	for _, a := range e.window(answers) {
		if !a.vended {
			last = max(last, a.ended()-e.at)
		}
	}
	return last
}

// statuses names the failures: "502 × 7".
func statuses(failed map[int]int) string {
	var all []string
	for _, status := range slices.Sorted(maps.Keys(failed)) {
		name := strconv.Itoa(status)
		if status == 0 {
			name = "no answer"
		}
		all = append(all, fmt.Sprintf("%s × %d", name, failed[status]))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
