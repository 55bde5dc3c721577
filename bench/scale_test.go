package main

import (
	"strings"
	"testing"
	"time"
)

func TestVendsPayNothingForIdleProcesses(t *testing.T) {
	var used, idle amounts
	used[replicaCPU], idle[replicaCPU] = 5000, 100
	used[redisCPU], idle[redisCPU] = 5000, 100
	got := used.perVend(idle, 10*time.Second, 50)
	if got[replicaCPU] != 100 || got[redisCPU] != 80 {
		t.Errorf("a vend costs %v µs of the replicas and %v of Redis, want 5000/50 and (5000-10*100)/50", got[replicaCPU], got[redisCPU])
	}
	of := transactions{idle: 24, busy: 220, took: 10 * time.Second, vends: 100}
	if got := of.perVend(); got != 2 {
		t.Errorf("%v transactions per vend, want (220 - 24/12*10)/100", got)
	}
}

func TestNewConnectionsCountFromZero(t *testing.T) {
	before := snapshot{backends: map[int]time.Duration{1: 5 * time.Millisecond, 2: time.Millisecond}}
	before.amounts[redisTrips] = 7
	now := snapshot{backends: map[int]time.Duration{1: 6 * time.Millisecond, 3: 2 * time.Millisecond}}
	now.amounts[redisTrips] = 10
	if got := now.since(before); got[postgresCPU] != 3000 || got[redisTrips] != 3 {
		t.Errorf("%v µs of PostgreSQL and %v batches, want 1000+2000 and 3", got[postgresCPU], got[redisTrips])
	}
}

func TestCellsCompareNeighboringTurns(t *testing.T) {
	cell := func(cpu ...float64) *scaleCell {
		var c scaleCell
		for _, n := range cpu {
			u := use{took: time.Second, vends: 10}
			u.used[replicaCPU] = n
			c.turns = append(c.turns, u)
			c.answers = append(c.answers, answer{took: time.Duration(n)})
		}
		return &c
	}
	base, other := cell(100, 1000, 300), cell(200, 1500, 9000)
	if got := other.cpuRatio(base); got != 2 {
		t.Errorf("the ratio is %v, want the median of 2, 1.5 and 30", got)
	}
	if got := other.perVend(replicaCPU, amounts{}); got != 150 {
		t.Errorf("a vend costs %v, want the median of 20, 150 and 900", got)
	}
	if got := other.delayRatio(base, 50); got != 5 {
		t.Errorf("the ratio of the medians is %v, want 1500/300", got)
	}
}

func TestBusiestReplicaHasItsShare(t *testing.T) {
	if got := busiest([]answer{{by: "a"}, {by: "b"}, {by: "a"}, {by: "c"}}); got != 0.5 {
		t.Errorf("the busiest of 2, 1 and 1 answers has %v", got)
	}
}

func TestEventCountsAnswersThatEndAfterIt(t *testing.T) {
	e := event{at: 100, until: 200}
	answers := []answer{
		{due: 10, took: 80}, // before
		{due: 90, took: 30}, // due before, failed after: the event's
		{due: 150, took: 10, vended: true},
		{due: 160, took: 39, status: 502},
		{due: 160, took: 40, status: 502}, // the next event's
	}
	if got := len(e.window(answers)); got != 3 {
		t.Errorf("the event has %d answers, want 3", got)
	}
	if got := e.lastFailure(answers); got != 99 {
		t.Errorf("the last failure was after %d, want 199-100", got)
	}
	if got := statuses(failures(answers)); got != "no answer × 2, 502 × 2" {
		t.Errorf("the failures are %s", got)
	}
	if got := statuses(nil); got != "none" {
		t.Errorf("no failures are %q", got)
	}
}

func TestOnlyKillsMayFailRequests(t *testing.T) {
	d := disruption{
		events: []event{{kind: killed, at: 0, until: 10}, {kind: added, at: 10, until: 20}, {kind: drained, at: 20, until: 30}},
		plain:  []answer{{due: 5}, {due: 15, vended: true}, {due: 25}}, retried: []answer{{due: 12}},
	}
	if got := d.broken(); got != 2 {
		t.Errorf("%d failures count, want those at 12 and 25", got)
	}
}

func TestSessionSurvivesIfItVendsAfterwards(t *testing.T) {
	d := disruption{events: []event{{kind: killed, at: 100}}, plain: []answer{
		{user: 1, due: 10, took: 5, vended: true},
		{user: 3, due: 20, took: 5, vended: true},
		{user: 5, due: 30, took: 5},                // without a token
		{user: 2, due: 40, took: 5, vended: true},  // with a bearer token
		{user: 3, due: 90, took: 20, vended: true}, // under way at the kill
	}, retried: []answer{{user: 1, due: 110, vended: true}}}
	if before, survived := d.sessions(); before != 2 || survived != 1 {
		t.Errorf("%d of %d sessions survived, want that of user 1 of users 1 and 3", survived, before)
	}
}

func TestSharedLimitAllowsItsRefill(t *testing.T) {
	g := greed{took: 15 * time.Second}
	if got := g.most(); got != 300 {
		t.Errorf("15 s of %d a minute allow %d, want 240 + 60", allowance, got)
	}
}

func TestEachTokenNeedsOneAuditLine(t *testing.T) {
	trail := trail{}
	err := trail.read(strings.NewReader(`{"event":"client_token","outcome":"vended","request_id":"a"}
{"event":"client_token","outcome":"vended","request_id":"twice"}
{"event":"client_token","outcome":"vended","request_id":"twice"}
{"event":"client_token","outcome":"TooManyRequests","request_id":"refused"}
{"event":"sign_in","outcome":"signed_in","request_id":"sign-in"}
`))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]int{"a": 0, "twice": 1, "refused": 1, "sign-in": 1, "unknown": 1} {
		if got := trail.missing([]answer{{id: id, vended: true}}); got != want {
			t.Errorf("a token of request %s: %d without one line, want %d", id, got, want)
		}
	}
	if got := trail.missing([]answer{{id: "unknown"}}); got != 0 {
		t.Error("a refused request needs no line of a vend")
	}
	if err := trail.read(strings.NewReader(`{"event":"client_to`)); err == nil {
		t.Error("half a line is accepted")
	}
}

func TestStatisticsOfStoresAreRead(t *testing.T) {
	trips, all := calls(map[string]string{
		"cmdstat_evalsha": "calls=5,usec=100,usec_per_call=20.00", "cmdstat_get": "calls=12,usec=9", "cmdstat_config|get": "calls=1,usec=1",
	})
	if trips != 5 || all != 18 {
		t.Errorf("%v batches and %v commands, want 5 and 18", trips, all)
	}
	names := clientNames("id=3 addr=127.0.0.1:5 laddr=127.0.0.1:6 name=cached-1 age=1\nid=4 name=cached-1 lib-name=go\nid=5 name= age=0\n")
	if names["cached-1"] != 2 || names[""] != 1 {
		t.Errorf("the connections by name are %v", names)
	}
}

func TestSaturationIsPerFullCore(t *testing.T) {
	s := saturation{calls: 1000, took: 2 * time.Second, spent: time.Second / 2}
	if s.share() != 0.25 || s.full() != 2000 {
		t.Errorf("a share of %v and %v calls a second, want 0.25 and 2000", s.share(), s.full())
	}
	if got := perThousand(50); got != 5 {
		t.Errorf("1000 vends of 50 µs use %v %% of a core", got)
	}
}

func TestEachReplicaIsCheckedOnce(t *testing.T) {
	replicas := []*replica{
		{name: "r-1", at: places{public: "127.0.0.1:81", admin: "127.0.0.1:91"}},
		{name: "r-2", at: places{public: "127.0.0.1:82", admin: "127.0.0.1:92"}},
	}
	config := balancerConfig("/run/socket", []front{
		{name: "all", addr: "127.0.0.1:1", replicas: replicas, retryOn: "conn-failure"},
		{name: "one", addr: "127.0.0.1:2", replicas: replicas[:1], retryOn: "empty-response"},
	})
	for line, want := range map[string]int{
		"server r-1 127.0.0.1:81 check port 91": 1, "server r-2 127.0.0.1:82 check port 92": 1,
		"server r-1 127.0.0.1:81 track all/r-1": 1, "server r-": 3, "retry-on empty-response": 1,
	} {
		if got := strings.Count(config, line); got != want {
			t.Errorf("%q is there %d times, want %d, in\n%s", line, got, want, config)
		}
	}
}

func TestHAProxyStatesAreFoundByColumn(t *testing.T) {
	states, err := serverStates([][]string{{"# pxname", "svname", "qcur", "status"}, {"all", "r-1", "0", "UP"}, {"all", "r-2", "0", "DOWN"}})
	if err != nil || states["r-1"] != "UP" || states["r-2"] != "DOWN" {
		t.Errorf("%v, error %v", states, err)
	}
	if _, err := serverStates([][]string{{"# pxname", "svname"}, {"all", "r-1"}}); err == nil {
		t.Error("statistics without a status are accepted")
	}
}

func TestScaleNamesEveryMissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := scaleTools(options{}); err == nil || !strings.Contains(err.Error(), "TEST_POSTGRES_URL") || !strings.Contains(err.Error(), "apt install redis-server") {
		t.Errorf("without anything: %v", err)
	}
}
