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
func (r *Redis) Start(ctx context.Context, key Key, s Session, by SignIn) (Ended, error) {
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
func (r *Redis) tryStart(ctx context.Context, key Key, s Session, by SignIn, call string) (answer, error) { //nolint:revive // a step of Start
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
func (r *Redis) logoutsOf(s Session) []string {
	names := append(r.vault.names("logout", s.Subject), r.vault.names("logout", s.Subject, s.SID)...)
	if s.SID != "" {
		names = append(names, r.vault.names("logout", "", "", s.SID)...)
	}
	return names
}

// logoutsBy are the names under which a logout is remembered.
func (r *Redis) logoutsBy(which Which) []string {
	switch {
	case which.Subject != "" && which.SID != "":
		return []string{r.vault.names("logout", which.Subject, which.SID)[0], r.vault.names("logout", which.Subject, "")[0]}
	case which.Subject != "":
		return r.vault.names("logout", which.Subject)[:1]
	case which.SID != "":
		return r.vault.names("logout", "", "", which.SID)[:1]
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

// Find implements Store. What the request owes to rate limits in the same Redis
// ([ratelimit.FromContext]) is taken in the same round trip, and before the
// session is used.
func (r *Redis) Find(ctx context.Context, key Key, effect Effect) (Session, error) {
	var extend time.Duration
	if effect == Extend {
		extend = r.config.Limits.Idle
	}
	charge := ratelimit.FromContext(ctx)
	address, terms := charge.Along()
	name, now := r.vault.session(key), r.config.Limits.Now()
	answer, err := r.find.Run(ctx, redisbatch.Call{
		Keys: []string{name},
		Args: append([]any{now.UnixMilli(), extend.Milliseconds(), r.epochs.name, r.epochs.claim(), r.epochs.fresh, address}, terms...),
	})
	if err != nil {
		return Session{}, failed(err)
	}
	found, err := readFound(answer)
	if err != nil {
		return Session{}, err
	}
	r.epochs.learn(found.epoch)
	found.name = name
	s, err := r.good(found, key, now)
	if err := charge.Paid(ctx, s.User.ID, found.limit, found.took); err != nil {
		return s, err
	}
	return s, err
}

// Follow learns of what has ended through other replicas, so that this one
// notices when Redis loses it.
func (r *Redis) Follow(ctx context.Context) error {
	answer, err := r.find.Run(ctx, redisbatch.Call{
		Keys: []string{r.epochs.name}, // holds no session
		Args: []any{r.config.Limits.Now().UnixMilli(), 0, r.epochs.name, r.epochs.claim(), r.epochs.fresh, "", 0, 0, 0, 0},
	})
	if err != nil {
		return failed(err)
	}
	found, err := readFound(answer)
	r.epochs.learn(found.epoch)
	return err
}

// good is the session of what was found, or ErrNone. Redis may hold what somebody
// else wrote there, or what has ended.
func (r *Redis) good(f found, key Key, now time.Time) (Session, error) {
	if f.data == "" || r.forgotten(f.name) {
		return Session{}, ErrNone
	}
	s, began, err := r.vault.open(f.record, key)
	if err != nil || began != r.epochs.latest.Load().name() {
		return Session{}, ErrNone
	}
	ends, err := strconv.ParseInt(f.ends, 10, 64)
	deadline, errDeadline := strconv.ParseInt(f.deadline, 10, 64)
	s.Expires = time.UnixMilli(min(ends, deadline))
	if err != nil || errDeadline != nil || !now.Before(s.Expires) {
		return Session{}, ErrNone
	}
	s.Over = func() bool { return r.forgotten(f.name) }
	return s, nil
}

// found is what scripts/find.lua returns. Without data there is no session.
type found struct {
	record

	took        [2]int64 // along, from the address and from the user of limit
	epoch       string
	ends, limit string
}

// errAnswer is an outage, and neither a session nor that there is none.
var errAnswer = failed(errors.New("an answer of another form"))

func readFound(answer []any) (found, error) {
	var f found
	if len(answer) != 3 && len(answer) != 9 {
		return f, errAnswer
	}
	var ok [2]bool
	f.took[0], ok[0] = answer[0].(int64)
	f.took[1], ok[1] = answer[1].(int64)
	if ok != [2]bool{true, true} || !texts(answer[2:3], &f.epoch) ||
		!texts(answer[3:], &f.data, &f.ends, &f.deadline, &f.subject, &f.sid, &f.limit) {
		return found{}, errAnswer
	}
	return f, nil
}

// texts reads as many strings as there are, and reports whether all are.
func texts(answer []any, into ...*string) bool {
	for i, item := range answer {
		text, ok := item.(string)
		if !ok || i >= len(into) {
			return false
		}
		*into[i] = text
	}
	return true
}

// End implements Store. Of sessions that are ended by their subject or SID it
// returns neither claims nor ID token: those open only with the session's key.
func (r *Redis) End(ctx context.Context, which Which) ([]Session, error) {
	key, what := r.vault.session(which.Key), "key"
	switch {
	case which == Which{Once: which.Once}:
		key, what = r.epochs.name, "none"
	case which.Subject != "" && which.SID != "":
		key, what = r.epochs.name, "both"
	case which.Subject != "":
		key, what = r.epochs.name, "subject"
	case which.SID != "":
		key, what = r.epochs.name, "sid"
	}
	args := []any{
		r.config.Limits.Now().UnixMilli(), r.epochs.name, r.epochs.claim(), r.epochs.fresh, what, rand.Text(), rememberUse.Milliseconds(),
	}
	answer, err := r.run(ctx, r.end, key, withLists(args, r.once(which.Once), r.vault.names("subject", which.Subject), r.sids(which.SID), r.logoutsBy(which)))
	switch {
	case err != nil:
		return nil, err
	case answer.outcome == usedBefore:
		return nil, ErrUsed
	case answer.outcome != done:
		return nil, errAnswer
	}
	return r.endings(answer.rest, which)
}

// endings are the sessions that scripts/end.lua has ended.
func (r *Redis) endings(rest []any, which Which) ([]Session, error) {
	var ended []Session
	for _, item := range rest {
		var rec record
		if fields, ok := item.([]any); !ok || len(fields) != 6 || !texts(fields, &rec.name, &rec.data, &rec.deadline, &rec.subject, &rec.sid, &rec.owner) {
			return ended, errAnswer
		}
		r.forget(rec.name)
		if s, ok := r.ending(rec, which); ok {
			ended = append(ended, s)
		}
	}
	return ended, nil
}

// ending is a session that was ended, and false for one that never was one.
func (r *Redis) ending(rec record, which Which) (Session, bool) {
	if which.Subject != "" || which.SID != "" {
		s, err := r.vault.owned(rec)
		return s, err == nil
	}
	s, began, err := r.vault.open(rec, which.Key)
	return s, err == nil && began == r.epochs.latest.Load().name()
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
