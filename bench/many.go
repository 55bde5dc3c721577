package main

import (
	"context"
	"fmt"
	"io"
)

// few is the number of bystanders in the small stores.
const few = 1_000

// measureMany compares a server with few sessions and links in Redis and PostgreSQL
// with one that has many. The servers cache nothing, so every vend reads both stores.
// The number of active users is the same in both.
func measureMany(ctx context.Context, s *stage, o options, out, progress io.Writer) error {
	b, err := s.startBackends(ctx, 0)
	if err != nil {
		return err
	}
	p := &part{title: "the users who are known", connections: []int{16, 64}}
	var keepers []*keeper
	for _, bystanders := range []int{few, o.many} {
		_, _ = fmt.Fprintf(progress, "making %d sessions and links\n", bystanders)
		with, err := share(ctx, s, o.postgres, bystanders)
		if err != nil {
			return err
		}
		if with == nil {
			return errNoStores
		}
		keepers = append(keepers, with.redis)
		cookies, err := with.redis.makeSessions(ctx, b, bystanders)
		if err != nil {
			return err
		}
		like := b.recipeForSessions(fmt.Sprintf("%d users", bystanders), cookies, append(with.env, "CUSTOMER_CACHE=0s")...)
		server, _, err := s.startServer(ctx, b, like)
		if err != nil {
			return err
		}
		p.targets = append(p.targets, server)
	}
	p.bases = []string{p.targets[0].name}
	if err := p.measure(ctx, s, o, progress); err != nil {
		return err
	}
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	p.print(line)
	line("")
	for i, t := range p.targets {
		if err := t.printUse(line, keepers[i]); err != nil {
			return err
		}
	}
	return nil
}

// printUse prints the resources used so far by the target and its Redis.
func (t *target) printUse(line func(string, ...any), with *keeper) error {
	served, err := t.process.memory()
	if err != nil {
		return err
	}
	kept, err := with.process.memory()
	if err != nil {
		return err
	}
	line("%s: the server used at most %.1f MiB, its Redis %.1f MiB", t.name, mebibytes(served.peak), mebibytes(kept.peak))
	return nil
}
