package session

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// RedisConfig is what a Redis store needs. All fields but UserLimit are required.
type RedisConfig struct {
	// Client is of a server that holds all keys: not a Redis Cluster. The caller
	// closes it. How soon an outage is reported is up to it.
	Client *redis.Client
	Limits Limits
	Keys   keyring.Ring // the first key seals, all open
	Scope  Scope
	// UserLimit is where the rate limit of a user is kept; nil without limits.
	UserLimit  func(userID string) string
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Redis keeps sessions in a Redis server, for all replicas of one scope. Each
// operation is one script, so that nothing can happen in the middle of it.
//
// Sessions are sealed. Whoever reads Redis learns nothing about users. Whoever
// writes to it can end sessions, prevent idle time-outs, and bring back a session
// that ended: never beyond its deadline, and only for the holder of its cookie.
type Redis struct {
	config     RedisConfig
	vault      *vault
	epochs     *epochs
	start, end *redis.Script
	find       *redisbatch.Script
	// gone are the names of sessions that this process has ended. They stay ended
	// here whatever Redis says. The bound loses nothing but this second line of
	// defense for the sessions that ended first.
	gone *bytecache.Cache[string, struct{}]
}

const (
	// findTimeout is how long finding a session takes at most: as long as the client
	// waits for one answer, so that it tries again only after a cut.
	findTimeout = 2 * time.Second
	maxGone     = 1 << 20 // bytes
)

// NewRedis returns a store. It does not connect. It panics without keys or scope.
func NewRedis(c RedisConfig) *Redis {
	if c.Keys.Len() == 0 || c.Scope == (Scope{}) {
		panic("session: a store without keys or scope")
	}
	if c.UserLimit == nil {
		c.UserLimit = func(string) string { return "" }
	}
	v := newVault(c.Keys, c.Scope)
	return &Redis{
		config: c,
		vault:  v,
		epochs: newEpochs(v.epoch(), c.Logger, c.Registerer),
		start:  redis.NewScript(text("shared", "epoch", "start")),
		find: redisbatch.New(redisbatch.Config{
			Client: c.Client, Text: ratelimit.Take() + text("shared", "epoch", "find"), Keys: 1, Args: 10, Timeout: findTimeout,
		}),
		end:  redis.NewScript(text("shared", "epoch", "end")),
		gone: bytecache.New[string, struct{}](bytecache.Config{MaxBytes: maxGone, Now: c.Limits.Now}),
	}
}

// text is the text of scripts, one after the other.
func text(names ...string) string {
	var all []byte
	for _, name := range names {
		part, err := scripts.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			panic(err) // only when the file is not in the binary
		}
		all = append(all, part...)
	}
	return string(all)
}

// What the scripts answer beside the epoch.
const (
	done         = 0
	usedBefore   = -1
	loggedOut    = -2
	anotherEpoch = -3
)

// maxEpochs is how often one sign-in meets a new epoch before it is an outage.
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
	return Ended{}, failed(errors.New("its epoch changes all the time"))
}

// tryStart starts a session in the epoch that is known.
func (r *Redis) tryStart(ctx context.Context, key Key, s Stored, by SignIn, call string) (answer, error) {
	now, current := r.config.Limits.Now(), r.epochs.latest.Load()
	used, subjects, sids := r.once(by.Once), r.vault.names("subject", s.Subject), r.sids(s.SID)
	rec := record{
		name:     r.vault.session(key),
		deadline: strconv.FormatInt(now.Add(r.config.Limits.Lifetime).UnixMilli(), 10),
		subject:  subjects[0],
	}
	if len(sids) > 0 {
		rec.sid = sids[0]
	}
	if err := r.vault.seal(&rec, key, s, current.name()); err != nil {
		return answer{}, fmt.Errorf("writing a session: %w", err)
	}
	replaces := ""
	if by.Replaces != (Key{}) {
		replaces = r.vault.session(by.Replaces)
	}
	args := []any{
		now.UnixMilli(), r.epochs.name, current.text, r.epochs.fresh, current.name(), by.Began.UnixMilli(),
		replaces, now.Add(r.config.Limits.Idle).UnixMilli(), rec.deadline, rec.data, rec.owner,
		r.config.UserLimit(s.User.ID), maxPerSubject, call, rememberUse.Milliseconds(),
	}
	return r.run(ctx, r.start, rec.name, withLists(args, used, subjects, sids, r.logoutsOf(s)))
}

// withLists appends lists to the arguments of a script, after their lengths.
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

// once are the names of what may be used once.
func (r *Redis) once(once string) []string {
	if once == "" {
		return nil
	}
	return r.vault.names("used", once)
}

func (r *Redis) sids(sid string) []string {
	if sid == "" {
		return nil
	}
	return r.vault.names("sid", sid)
}

// logoutsOf are the names of the logouts that would have ended a session.
func (r *Redis) logoutsOf(s Stored) []string {
	names := append(r.vault.names("logout", s.Subject), r.vault.names("logout", s.Subject, s.SID)...)
	if s.SID != "" {
		names = append(names, r.vault.names("logout", "", "", s.SID)...)
	}
	return names
}

// logoutsBy are the names under which a logout is remembered.
func (r *Redis) logoutsBy(sel Selector) []string {
	switch {
	case sel.Subject != "" && sel.SID != "":
		return []string{r.vault.names("logout", sel.Subject, sel.SID)[0], r.vault.names("logout", sel.Subject, "")[0]}
	case sel.Subject != "":
		return r.vault.names("logout", sel.Subject)[:1]
	case sel.SID != "":
		return r.vault.names("logout", "", "", sel.SID)[:1]
	}
	return nil
}

// answer is what scripts/start.lua and scripts/end.lua return.
type answer struct {
	outcome int64
	rest    []any
}

// run runs a script and learns the epoch.
func (r *Redis) run(ctx context.Context, script *redis.Script, key string, args []any) (answer, error) {
	list, err := script.Run(ctx, r.config.Client, []string{key}, args...).Slice()
	if err != nil {
		return answer{}, failed(err)
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

// started reads the rest of what scripts/start.lua returns.
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
		r.forget(name)
	}
	return Ended{Replaced: int(replaced), Displaced: len(a.rest) - 1 - int(replaced)}, nil
}

// forget notes that this process has ended a session.
func (r *Redis) forget(name string) {
	r.gone.Add(name, struct{}{}, len(name), r.config.Limits.Now().Add(r.config.Limits.Lifetime))
}

func (r *Redis) forgotten(name string) bool {
	_, ok := r.gone.Get(name)
	return ok
}

// failed is err as the callers know it: their own cancellation as it came, and
// everything else as an outage.
func failed(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: 5 * time.Second,
		Err:        fmt.Errorf("the session store: %w", err),
	}
}
