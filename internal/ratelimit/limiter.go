package ratelimit

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Config configures a Limiter. Redis and the limits are optional.
type Config struct {
	User, IP   Limit
	Create     Limit                 // of customer.create tokens per user
	Redis      redis.UniversalClient // nil: this process counts alone
	RedisTag   string                // the hash tag of all keys in a Redis Cluster, or empty
	Secret     []byte                // derives the names in Redis; required with Redis
	Now        func() time.Time
	Logger     zerolog.Logger // for debugging
	Registerer prometheus.Registerer
}

// Limiter counts requests and refuses those over a limit. It is safe for concurrent
// use.
type Limiter struct {
	user, ip  Limit
	names     atomic.Pointer[names]
	tag       string // the hash tag
	create    Limit
	users     *memory
	addresses *memory
	creations *memory
	shared    *shared // nil without Redis
	now       func() time.Time
	limited   *prometheus.CounterVec // scope
}

// New returns a limiter without connecting to Redis. It panics if there is a Redis but
// no secret, because replicas would not share one count.
func New(c Config) *Limiter {
	if c.Redis != nil && len(c.Secret) == 0 {
		panic("ratelimit: Redis without a secret")
	}
	l := &Limiter{
		user: c.User, ip: c.IP, create: c.Create,
		tag:   c.RedisTag,
		users: newMemory(), addresses: newMemory(), creations: newMemory(),
		now: c.Now,
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_rate_limited_total",
			Help: "Requests refused with 429, by limit: user, ip or create (customer.create tokens).",
		}, []string{"scope"}),
	}
	for _, scope := range []Scope{User, IP, Create} {
		l.limited.WithLabelValues(string(scope))
	}
	c.Registerer.MustRegister(l.limited)
	l.names.Store(&names{})
	if c.Redis != nil {
		l.shared = newShared(c)
		l.Rotate(c.Secret)
	}
	return l
}

// Rotate replaces the secret that derives the names in Redis. All counts begin anew.
// Replicas with different secrets do not share their counts.
func (l *Limiter) Rotate(secret []byte) {
	if l.shared != nil {
		l.names.Store(newNames(secret, l.tag))
	}
}

// Recheck returns nil while requests are counted in Redis, for all replicas. Otherwise it
// asks Redis again, at no charge, so that an outage also ends without requests. It
// returns the last error while Redis fails.
func (l *Limiter) Recheck(ctx context.Context) error {
	if l.shared == nil || !l.shared.away.Load() {
		return nil
	}
	_, _ = l.shared.take(ctx, "", "") // the circuit notes the outcome
	if !l.shared.away.Load() {
		return nil
	}
	why, _ := l.shared.fault.Load().(failure)
	return why.error
}

// Charge is the cost of one request: to its address and, once known, to its user. A
// zero or nil Charge costs nothing.
type Charge struct {
	limiter *Limiter
	address string // the key; empty: no limit
	paid    bool
}

// Charge returns the charge of a request from addr. A nil Limiter charges nothing.
func (l *Limiter) Charge(addr string) Charge {
	c := Charge{limiter: l}
	if l != nil && l.ip.N > 0 {
		c.address = l.names.Load().address(addr)
	}
	return c
}

// Check refuses an address with nothing left, as far as this process knows. With Redis
// that is its answer to the latest request. Check charges nothing. The error is an
// *ExceededError.
func (c *Charge) Check() error {
	if c == nil || c.limiter == nil {
		return nil
	}
	l := c.limiter
	return l.verdict(IP, l.ip, l.addresses.exceeded(c.address, l.ip, l.now().UnixMicro()))
}

// Pay charges the address and the user. Later calls have no effect. An empty userID
// charges the address alone. The error is an *ExceededError, or ctx's own.
func (c *Charge) Pay(ctx context.Context, userID string) error {
	if c == nil || c.limiter == nil || c.paid {
		return nil
	}
	l := c.limiter
	c.paid = true
	user := l.names.Load().user(userID)
	now := l.now().UnixMicro()
	if wait := l.users.exceeded(user, l.user, now); wait < 0 {
		return l.verdict(User, l.user, wait)
	}
	if l.shared != nil {
		took, err := l.shared.take(ctx, c.address, user)
		if err == nil {
			return c.settle(user, took)
		}
		if ctx.Err() != nil {
			return ctx.Err() //nolint:wrapcheck // the caller's own error
		}
	}
	if err := l.verdict(IP, l.ip, l.addresses.take(c.address, l.ip, now)); err != nil {
		return err
	}
	return l.verdict(User, l.user, l.users.take(user, l.user, now))
}

// PayAddress charges the address now; Pay charges the user later. It is for sign-in
// modes that ask another server for the user. The error is an *ExceededError, or ctx's
// own.
func (c *Charge) PayAddress(ctx context.Context) error {
	if c == nil || c.limiter == nil || c.paid {
		return nil
	}
	l, address := c.limiter, c.address
	c.address = ""
	if l.shared != nil && address != "" {
		took, err := l.shared.take(ctx, address, "")
		if err == nil {
			l.addresses.learn(address, l.ip, l.now().UnixMicro(), took[0])
			return l.verdict(IP, l.ip, took[0])
		}
		if ctx.Err() != nil {
			return ctx.Err() //nolint:wrapcheck // the caller's own error
		}
	}
	return l.verdict(IP, l.ip, l.addresses.take(address, l.ip, l.now().UnixMicro()))
}

// settle caches the amounts that Redis charged, and returns the refusal, if any.
func (c *Charge) settle(user string, took [2]int64) error {
	l := c.limiter
	now := l.now().UnixMicro()
	l.addresses.learn(c.address, l.ip, now, took[0])
	l.users.learn(user, l.user, now, took[1])
	if err := l.verdict(IP, l.ip, took[0]); err != nil {
		return err
	}
	return l.verdict(User, l.user, took[1])
}

// verdict returns the refusal for a result of take, or nil.
func (l *Limiter) verdict(scope Scope, limit Limit, took int64) error {
	if took >= 0 {
		return nil
	}
	l.limited.WithLabelValues(string(scope)).Inc()
	return &ExceededError{Scope: scope, Limit: limit, RetryAfter: time.Duration(-took) * time.Microsecond}
}

// UserKey is the Redis key of a user's limit, for a script that charges it. It is empty
// for an empty id and for a nil Limiter.
func (l *Limiter) UserKey(userID string) string {
	if l == nil {
		return ""
	}
	return l.names.Load().user(userID)
}

// ScriptArgs lets a Lua script that calls Redis anyway charge c in the same round trip.
// It returns the key of the address, and the interval and capacity of addresses and of
// users, for [TakeScript]. Pass the results of take to [Charge.Settle]. If c owes nothing
// in Redis, all values are empty.
func (c *Charge) ScriptArgs() (address string, terms []any) {
	if !c.owes() {
		return "", []any{0, 0, 0, 0}
	}
	return c.address, c.limiter.shared.terms
}

// owes reports whether c still has to be charged in Redis.
func (c *Charge) owes() bool {
	return c != nil && !c.paid && c.limiter != nil && c.limiter.shared != nil
}

// Settle records the amounts that a script charged to the address and to the user's key.
// If the key is not userID's, Settle charges the user now. The error is an
// *ExceededError, or ctx's own.
func (c *Charge) Settle(ctx context.Context, userID, key string, took [2]int64) error {
	if !c.owes() {
		return nil
	}
	l := c.limiter
	if l.shared.away.Load() {
		// Probe Redis without charging anything: if all requests charge by script,
		// no other call notices the end of the outage.
		_, _ = l.shared.take(ctx, "", "")
	}
	user := l.names.Load().user(userID)
	if user == "" || user == key {
		c.paid = true
		return c.settle(user, took)
	}
	// The session is older than the key of the names, or was tampered with.
	if err := c.settle("", [2]int64{took[0], 0}); err != nil {
		c.paid = true
		return err
	}
	c.address = "" // already charged
	return c.Pay(ctx, userID)
}
