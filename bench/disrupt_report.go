package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// print prints the second part and reports whether the service kept its promises.
func (d *disruption) print(out io.Writer) bool {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	line("\nReplicas that come and go. Half of the requests go through a front that retries refused connections only,\n"+
		"the other half through one that also retries unanswered requests. HAProxy checks /readyz every %s, and %d checks decide.\n", checkEvery, checkFalls)
	line("| event | times | requests | failed, refused connections retried | last failure after | failed, unanswered requests retried | HAProxy noticed after | process done after |")
	line("| --- | --: | --: | --: | --: | --: | --: | --: |")
	for _, kind := range []string{killed, added, drained} {
		d.printKind(line, kind)
	}
	return d.printPromises(line)
}

// printKind sums the events of one kind. Times are the longest.
func (d *disruption) printKind(line func(string, ...any), kind string) {
	times, requests := 0, 0
	var last, noticed, done time.Duration
	var plain, retried []answer
	for _, e := range d.of(kind) {
		times++
		plain = append(plain, e.window(d.plain)...)
		retried = append(retried, e.window(d.retried)...)
		last = max(last, e.lastFailure(d.plain))
		noticed, done = max(noticed, e.noticed), max(done, e.done)
	}
	requests = len(plain) + len(retried)
	line("| %s | %d | %d | %s | %.0f ms | %s | %.1f s | %.1f s |", kind, times, requests,
		statuses(failures(plain)), milliseconds(last), statuses(failures(retried)), noticed.Seconds(), done.Seconds())
}

// of returns the events of one kind.
func (d *disruption) of(kind string) []event {
	return slices.DeleteFunc(slices.Clone(d.events), func(e event) bool { return e.kind != kind })
}

// broken counts failures at events during which no request may fail.
func (d *disruption) broken() int {
	n := 0
	for _, e := range append(d.of(added), d.of(drained)...) {
		for _, answers := range [][]answer{d.plain, d.retried} {
			for _, count := range failures(e.window(answers)) {
				n += count
			}
		}
	}
	return n
}

// sessions returns the users with a session before the first kill, and those of them
// with a token after it. Users with an odd number have a session.
func (d *disruption) sessions() (before, survived int) {
	killed := d.of(killed)
	if len(killed) == 0 {
		return 0, 0
	}
	early, late := map[int]bool{}, map[int]bool{}
	for _, a := range append(slices.Clone(d.plain), d.retried...) {
		switch {
		case !a.vended || a.user%2 == 0:
		case a.ended() < killed[0].at:
			early[a.user] = true
		case a.due > killed[0].at:
			late[a.user] = true
		}
	}
	for user := range early {
		if late[user] {
			survived++
		}
	}
	return len(early), survived
}

func (d *disruption) printPromises(line func(string, ...any)) bool {
	line("\n| promise | measured | |\n| --- | --- | --- |")
	kept := true
	row := func(name, measured string, held bool) {
		verdict := "kept"
		if !held {
			verdict, kept = "**broken**", false
		}
		line("| %s | %s | %s |", name, measured, verdict)
	}
	broken := d.broken()
	row("no request fails when a replica is added or drained", fmt.Sprintf("%d failed", broken), broken == 0)
	before, survived := d.sessions()
	row("sessions survive `kill -9`", fmt.Sprintf("%d of %d sessions vend afterwards", survived, before), survived == before && before > 0)
	for _, g := range d.greed {
		row("limits stay shared across `kill -9`", fmt.Sprintf("%d tokens in %.1f s, then `429`; one limit allows %d, three would allow %d", g.vended, g.took.Seconds(), g.most(), scaleReplicas*g.most()),
			g.refused && g.vended <= g.most())
	}
	missing, lines, answers := d.trail.missing(d.plain, d.retried), 0, 0
	for _, n := range d.trail {
		lines += n
	}
	for _, a := range append(slices.Clone(d.plain), d.retried...) {
		if a.vended {
			answers++
		}
	}
	for _, g := range d.greed {
		answers += g.vended
	}
	row("no vend without one audit line", fmt.Sprintf("%d without; %d lines for %d tokens", missing, lines, answers+d.probes), missing == 0)
	return kept
}
