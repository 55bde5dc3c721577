package main

import (
	"context"
	"fmt"
	"time"
)

// scaleCell is a number of replicas under one load.
type scaleCell struct {
	name    string
	load    offered
	meter   meter
	answers []answer
	turns   []use
}

// use is what one turn used.
type use struct {
	used  amounts
	took  time.Duration
	vends int
}

// take loads the cell for one turn. Any failed request ends the bench.
func (c *scaleCell) take(ctx context.Context, d time.Duration) error {
	before, err := c.meter.read(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	answers := c.load.run(ctx, after(d))
	took := time.Since(began)
	now, err := c.meter.read(ctx)
	if err != nil {
		return err
	}
	if failed := failures(answers); len(failed) > 0 || len(answers) == 0 {
		return fmt.Errorf("replicas %s: %d requests, failures by status: %v", c.name, len(answers), failed)
	}
	c.answers = append(c.answers, answers...)
	c.turns = append(c.turns, use{now.since(before), took, len(answers)})
	return nil
}

// perVend is the median of the turns.
func (c *scaleCell) perVend(of resource, idle amounts) float64 {
	var all []float64
	for _, t := range c.turns {
		all = append(all, t.used.perVend(idle, t.took, t.vends)[of])
	}
	return percentile(all, 50)
}

// cpuRatio is the replicas' CPU time per vend divided by another cell's: the median over
// pairs of neighboring turns.
func (c *scaleCell) cpuRatio(base *scaleCell) float64 {
	var all []float64
	for i, t := range c.turns {
		b := base.turns[i]
		all = append(all, t.used[replicaCPU]/float64(t.vends)/(b.used[replicaCPU]/float64(b.vends)))
	}
	return percentile(all, 50)
}

// delayRatio is a percentile of the delays divided by another cell's.
func (c *scaleCell) delayRatio(base *scaleCell, p int) float64 {
	return float64(percentile(delays(c.answers), p)) / float64(percentile(delays(base.answers), p))
}
