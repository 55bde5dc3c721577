package session

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/bytecache"
	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
	"dropgate/internal/ratelimit"
	"dropgate/internal/redisbatch"
)

//go:embed scripts/*.lua
var scripts embed.FS

// RedisConfig configures a Redis store. All fields except Tag, UserLimit and
// Announce are
// required.
type RedisConfig struct {
	// Client has the timeouts that decide how soon an outage is reported. The caller
	// closes it.
	Client redis.UniversalClient
	// Tag is the hash tag of all keys, such as "{a}". A Redis Cluster needs one, so that
	// a script finds its keys in one slot. All names derive from Scope anyway.
	Tag    string
	Limits Limits
	Keys   keyring.Ring // the first key encrypts, all decrypt
	Scope  Scope
	// UserLimit returns the Redis key of a user's rate limit; nil without limits.
	UserLimit func(userID string) string
	// Announce takes the name of each session that this process has ended, for
	// [Redis.EndedElsewhere] of other replicas. It may be nil.
	Announce   func(name string)
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Redis keeps sessions in a Redis server, shared by all replicas of one scope. Each
// operation is one atomic script.
//
// Sessions are encrypted. Read access to Redis reveals nothing about users. Write
// access allows ending sessions, preventing idle time-outs, and restoring an ended
// session: only until its deadline, and only for the holder of its cookie.
type Redis struct {
	config     RedisConfig
	sealer     atomic.Pointer[sealer]
	epochs     *epochs
	start, end *redis.Script
	list       *redis.Script
	find       *redisbatch.Script
	// ended holds the names of sessions that have ended, as this process knows. They
	// stay ended here even if Redis restores them.
	ended *bytecache.Cache[string, struct{}]
}

const (
	// findTimeout bounds Find. It equals the client's read timeout, so that the
	// client retries only after a broken connection.
	findTimeout = 2 * time.Second
	maxEnded    = 1 << 20 // bytes
)

// NewRedis returns a store without connecting. It panics without keys or scope.
func NewRedis(c RedisConfig) *Redis {
	if c.Keys.Len() == 0 || c.Scope == (Scope{}) {
		panic("session: a store without keys or scope")
	}
	if c.UserLimit == nil {
		c.UserLimit = func(string) string { return "" }
	}
	v := newSealer(c.Keys, c.Scope, c.Tag)
	r := &Redis{
		config: c,
		epochs: newEpochs(v.epochName(), c.Logger, c.Registerer),
		start:  redis.NewScript(text("shared", "epoch", "start")),
		find: redisbatch.New(redisbatch.Config{
			Client: c.Client, Text: ratelimit.TakeScript() + text("shared", "epoch", "find"), Keys: 1, Args: 10, Timeout: findTimeout,
		}),
		end:   redis.NewScript(text("shared", "epoch", "end")),
		list:  redis.NewScript(text("shared", "epoch", "list")),
		ended: bytecache.New[string, struct{}](bytecache.Config{MaxBytes: maxEnded, Now: c.Limits.Now}),
	}
	r.sealer.Store(v)
	return r
}

// Rotate replaces the keys.
func (r *Redis) Rotate(keys keyring.Ring) {
	r.sealer.Store(newSealer(keys, r.config.Scope, r.config.Tag))
}

// text returns the concatenated scripts.
func text(names ...string) string {
	var all []byte
	for _, name := range names {
		part, err := scripts.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			panic(err) // a misspelled name
		}
		all = append(all, part...)
	}
	return string(all)
}

// Outcomes of the scripts.
const (
	done         = 0
	usedBefore   = -1
	loggedOut    = -2
	anotherEpoch = -3
)

// maxEpochs is how many epochs one Start tries.
const maxEpochs = 3

// Start implements Store.
func (r *Redis) Start(ctx context.Context, key Key, s Stored, by SignIn) (Ended, error) {
	call := rand.Text()
	for range maxEpochs {
		answer, err := r.tryStart(ctx, key, s, by, call)
		if err != nil {
			return Ended{}, err
		}
		switch answer.outcome {
		case done:
			return answer.started(r)
		case usedBefore:
			return Ended{}, ErrUsed
		case loggedOut:
			return Ended{}, ErrLoggedOut
		case anotherEpoch:
		default:
			return Ended{}, errAnswer
		}
	}
	return Ended{}, outage(errors.New("the epoch keeps changing"))
}

// tryStart starts a session in the latest known epoch.
func (r *Redis) tryStart(ctx context.Context, key Key, s Stored, by SignIn, call string) (answer, error) {
	now, current := r.config.Limits.Now(), r.epochs.latest.Load()
	used, subjects, sids := r.once(by.Once), r.sealer.Load().names("subject", s.Subject), r.sids(s.SID)
	users := r.sealer.Load().names("user", s.User.ID)
	rec := record{
		name:     r.sealer.Load().sessionName(key),
		deadline: strconv.FormatInt(now.Add(r.config.Limits.Lifetime).UnixMilli(), 10),
		subject:  subjects[0],
		user:     users[0],
	}
	if len(sids) > 0 {
		rec.sid = sids[0]
	}
	if err := r.sealer.Load().seal(&rec, key, s, birth{current.name(), now.UnixMilli()}); err != nil {
		return answer{}, fmt.Errorf("encoding a session: %w", err)
	}
	replaces := ""
	if by.Replaces != (Key{}) {
		replaces = r.sealer.Load().sessionName(by.Replaces)
	}
	args := []any{
		now.UnixMilli(), r.epochs.name, current.text, r.epochs.fresh, current.name(), by.Began.UnixMilli(),
		replaces, now.Add(r.config.Limits.Idle).UnixMilli(), rec.deadline, rec.data, rec.owner,
		r.config.UserLimit(s.User.ID), maxPerSubject, call, onceTTL.Milliseconds(),
	}
	return r.run(ctx, r.start, rec.name, withLists(args, used, subjects, sids, r.logoutsOf(s), users))
}

// withLists appends the lengths of lists and their elements to args.
func withLists(args []any, lists ...[]string) []any {
	lengths := make([]string, len(lists))
	for i, list := range lists {
		lengths[i] = strconv.Itoa(len(list))
	}
	args = append(args, strings.Join(lengths, ","))
	for _, list := range lists {
		for _, name := range list {
			args = append(args, name)
		}
	}
	return args
}

// once returns the names of a single-use id.
func (r *Redis) once(once string) []string {
	if once == "" {
		return nil
	}
	return r.sealer.Load().names("used", once)
}

func (r *Redis) sids(sid string) []string {
	if sid == "" {
		return nil
	}
	return r.sealer.Load().names("sid", sid)
}

// logoutsOf names the logouts that would have ended a session.
func (r *Redis) logoutsOf(s Stored) []string {
	names := append(r.sealer.Load().names("logout", s.Subject), r.sealer.Load().names("logout", s.Subject, s.SID)...)
	names = append(names, r.sealer.Load().names("logout", "", "", "", s.User.ID)...)
	if s.SID != "" {
		names = append(names, r.sealer.Load().names("logout", "", "", s.SID)...)
	}
	return names
}

// logoutsBy names the logouts to remember for sel.
func (r *Redis) logoutsBy(sel Selector) []string {
	switch {
	case sel.User != "" && sel.Subject != "":
		return []string{r.sealer.Load().names("logout", "", "", "", sel.User)[0], r.sealer.Load().names("logout", sel.Subject)[0]}
	case sel.User != "":
		return r.sealer.Load().names("logout", "", "", "", sel.User)[:1]
	case sel.Subject != "" && sel.SID != "":
		return []string{r.sealer.Load().names("logout", sel.Subject, sel.SID)[0], r.sealer.Load().names("logout", sel.Subject, "")[0]}
	case sel.Subject != "":
		return r.sealer.Load().names("logout", sel.Subject)[:1]
	case sel.SID != "":
		return r.sealer.Load().names("logout", "", "", sel.SID)[:1]
	}
	return nil
}

// answer is the result of scripts/start.lua and scripts/end.lua.
type answer struct {
	outcome int64
	rest    []any
}

// run runs a script and notes the epoch in its answer.
func (r *Redis) run(ctx context.Context, script *redis.Script, key string, args []any) (answer, error) {
	list, err := script.Run(ctx, r.config.Client, []string{key}, args...).Slice()
	if err != nil {
		return answer{}, outage(err)
	}
	if len(list) < 2 {
		return answer{}, errAnswer
	}
	current, ok := list[0].(string)
	outcome, okOutcome := list[1].(int64)
	if !ok || !okOutcome {
		return answer{}, errAnswer
	}
	r.epochs.learn(current)
	return answer{outcome, list[2:]}, nil
}

// started reads the sessions that scripts/start.lua has ended.
func (a answer) started(r *Redis) (Ended, error) {
	if len(a.rest) == 0 {
		return Ended{}, errAnswer
	}
	replaced, ok := a.rest[0].(int64)
	if !ok {
		return Ended{}, errAnswer
	}
	for _, item := range a.rest[1:] {
		name, _ := item.(string)
		r.noteEnded(name)
	}
	return Ended{Replaced: int(replaced), Displaced: len(a.rest) - 1 - int(replaced)}, nil
}

// noteEnded notes that this process has ended a session.
func (r *Redis) noteEnded(name string) {
	r.EndedElsewhere(name)
	if r.config.Announce != nil {
		r.config.Announce(name)
	}
}

// EndedElsewhere notes that another replica has ended a session. Redis itself ends
// it for later requests; this is for those in progress, and if Redis restores it.
func (r *Redis) EndedElsewhere(name string) {
	r.ended.Add(name, struct{}{}, len(name), r.config.Limits.Now().Add(r.config.Limits.Lifetime))
}

func (r *Redis) hasEnded(name string) bool {
	_, ok := r.ended.Get(name)
	return ok
}

// outage turns an error into a Failure, unless the caller has canceled.
func outage(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: 5 * time.Second,
		Err:        fmt.Errorf("session store: %w", err),
	}
}
