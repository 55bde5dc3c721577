package session

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// epoch is what scripts/epoch.lua keeps: sessions are good in the epoch in which
// they began. A new one begins when Redis has lost what was ended.
type epoch struct {
	text   string // as Redis has it
	number int64
	id     string
	ends   int64
}

// name tells one epoch from another.
func (e *epoch) name() string { return strconv.FormatInt(e.number, 10) + "-" + e.id }

// parseEpoch returns false for what the script would not write.
func parseEpoch(text string) (*epoch, bool) {
	parts := strings.Split(text, "-")
	if len(parts) != 4 {
		return nil, false
	}
	number, err := strconv.ParseInt(parts[0], 10, 64)
	ends, errEnds := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || errEnds != nil || number < 1 || ends < 0 {
		return nil, false
	}
	return &epoch{text, number, parts[1], ends}, true
}

// epochs follows the epoch of one scope.
type epochs struct {
	name   string // where it is kept
	fresh  string // the id of those that this process begins
	latest atomic.Pointer[epoch]

	log      zerolog.Logger
	setbacks prometheus.Counter
}

func newEpochs(name string, log zerolog.Logger, r prometheus.Registerer) *epochs {
	e := &epochs{name: name, fresh: rand.Text(), log: log, setbacks: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "dropgate_session_store_setbacks_total",
		Help: "Times this replica saw that Redis had lost ended sessions, after a restore or a failover. All sessions ended.",
	})}
	e.latest.Store(&epoch{})
	r.MustRegister(e.setbacks)
	return e
}

// claim is the latest epoch as Redis has written it, or empty.
func (e *epochs) claim() string { return e.latest.Load().text }

// learn takes in what a script said: nothing when it was the claim. Answers may
// come out of order, so only a later one counts.
func (e *epochs) learn(text string) {
	if text == "" {
		return
	}
	said, ok := parseEpoch(text)
	if !ok {
		return
	}
	for {
		known := e.latest.Load()
		if said.number < known.number || said.number == known.number && said.ends <= known.ends {
			return
		}
		if !e.latest.CompareAndSwap(known, said) {
			continue
		}
		if known.number > 0 && said.number > known.number {
			e.setbacks.Inc()
			e.log.Warn().Msg("Redis has lost ended sessions, after a restore or a failover: all users have to sign in again")
		}
		return
	}
}
