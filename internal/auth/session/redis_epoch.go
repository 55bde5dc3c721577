package session

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// epoch is the value that scripts/epoch.lua keeps. A session is valid in the epoch
// in which it began. A new epoch begins when Redis has lost ended sessions.
type epoch struct {
	text   string // the value in Redis
	number int64
	id     string
	ends   int64 // counter of ended sessions
}

// name identifies the epoch.
func (e *epoch) name() string { return strconv.FormatInt(e.number, 10) + "-" + e.id }

// parseEpoch reports false for malformed values.
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
	name   string // key in Redis
	fresh  string // id of epochs begun by this process
	latest atomic.Pointer[epoch]

	log      zerolog.Logger
	setbacks prometheus.Counter
}

func newEpochs(name string, log zerolog.Logger, r prometheus.Registerer) *epochs {
	e := &epochs{name: name, fresh: rand.Text(), log: log, setbacks: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "dropgate_session_store_setbacks_total",
		Help: "Times this replica noticed that Redis lost ended sessions (restore or failover). Each time, all sessions end.",
	})}
	e.latest.Store(&epoch{})
	r.MustRegister(e.setbacks)
	return e
}

// known returns the latest epoch as text, or "".
func (e *epochs) known() string { return e.latest.Load().text }

// learn notes the epoch that a script returned; "" means unchanged. Answers may
// arrive out of order, so an older epoch is ignored.
func (e *epochs) learn(text string) {
	if text == "" {
		return
	}
	next, ok := parseEpoch(text)
	if !ok {
		return
	}
	for {
		current := e.latest.Load()
		if next.number < current.number || next.number == current.number && next.ends <= current.ends {
			return
		}
		if !e.latest.CompareAndSwap(current, next) {
			continue
		}
		if current.number > 0 && next.number > current.number {
			e.setbacks.Inc()
			e.log.Warn().Msg("Redis lost ended sessions in a restore or a failover: all users have to sign in again")
		}
		return
	}
}
