package ratelimit

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Config is what a Limiter needs. Redis and the three limits may be left out.
type Config struct {
	User, IP   Limit
	Create     Limit         // of tokens for customer.create, for each user
	Redis      *redis.Client // nil: this process counts alone
	Secret     []byte        // what the names in Redis derive from; required with Redis
	Now        func() time.Time
	Logger     zerolog.Logger // for the beginning and the end of an outage of Redis
	Registerer prometheus.Registerer
}

// Limiter lets requests pass, or not. It is safe for concurrent use.
type Limiter struct {
	user, ip  Limit
	names     *names
	create    Limit
	users     *memory
	addresses *memory
	creations *memory
	shared    *shared // nil without Redis
	now       func() time.Time
	limited   *prometheus.CounterVec // scope
}

// New returns a limiter. It does not connect. It panics with Redis and without a
// secret: replicas would not count together.
func New(c Config) *Limiter {
	if c.Redis != nil && len(c.Secret) == 0 {
		panic("ratelimit: Redis without a secret")
	}
	l := &Limiter{
		user: c.User, ip: c.IP, create: c.Create,
		names: newNames(c.Secret),
		users: newMemory(), addresses: newMemory(), creations: newMemory(),
		now: c.Now,
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_rate_limited_total",
			Help: "Requests that were refused with 429, by the limit: user, ip or create (tokens for customer.create).",
		}, []string{"scope"}),
	}
	for _, scope := range []Scope{User, IP, Create} {
		l.limited.WithLabelValues(string(scope))
	}
	c.Registerer.MustRegister(l.limited)
	if c.Redis != nil {
		l.shared = newShared(c)
	}
	return l
}

// Charge is what one request takes from the limits: from that of its address,
// and, once it is known, from that of its user. A zero or nil Charge takes nothing.
type Charge struct {
	limiter *Limiter
	address string // the key; empty: no limit
	paid    bool
}

// Charge begins the charge of a request from addr. That of the nil Limiter takes
// nothing.
func (l *Limiter) Charge(addr string) Charge {
	c := Charge{limiter: l}
	if l != nil && l.ip.N > 0 {
		c.address = l.names.address(addr)
	}
	return c
}

// Check refuses an address that has nothing left, as far as this process knows:
// without Redis that is all there is to know, with Redis what it said to the
// latest request. It takes nothing. The error is an *ExceededError.
func (c *Charge) Check() error {
	if c == nil || c.limiter == nil {
		return nil
	}
	l := c.limiter
	return l.verdict(IP, l.ip, l.addresses.exceeded(c.address, l.ip, l.now().UnixMicro()))
}

// Pay takes from the limits, once however often it is called. An empty userID
// is nobody's. The error is an *ExceededError, or that of ctx.
func (c *Charge) Pay(ctx context.Context, userID string) error {
	if c == nil || c.limiter == nil || c.paid {
		return nil
	}
	l := c.limiter
	c.paid = true
	user := l.names.user(userID)
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
			return ctx.Err() //nolint:wrapcheck // the caller's own, as it came
		}
	}
	if err := l.verdict(IP, l.ip, l.addresses.take(c.address, l.ip, now)); err != nil {
		return err
	}
	return l.verdict(User, l.user, l.users.take(user, l.user, now))
}

// PayAddress takes from the limit of the address now, and Pay the rest later. It
// is for modes that ask somebody else who the user is. The error is an
// *ExceededError, or that of ctx.
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
			return ctx.Err() //nolint:wrapcheck // the caller's own, as it came
		}
	}
	return l.verdict(IP, l.ip, l.addresses.take(address, l.ip, l.now().UnixMicro()))
}

// settle keeps what Redis took from the address and from the user, and says
// what it means.
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

// verdict is nil, or the refusal that took, as take returned it, means.
func (l *Limiter) verdict(scope Scope, limit Limit, took int64) error {
	if took >= 0 {
		return nil
	}
	l.limited.WithLabelValues(string(scope)).Inc()
	return &ExceededError{Scope: scope, Limit: limit, RetryAfter: time.Duration(-took) * time.Microsecond}
}

// UserKey is where a user's limit is kept in Redis, for a script that takes along.
// It is empty for nobody, and of the nil Limiter.
func (l *Limiter) UserKey(userID string) string {
	if l == nil {
		return ""
	}
	return l.names.user(userID)
}

// Along returns what a script with [Script] needs to take along what c owes: the
// key of the address, and the interval and capacity of addresses and of users.
// It is for whoever goes to the same Redis anyway; what take returned for the
// address and for the user goes to [Charge.Paid]. Where there is nothing to
// take, or not in Redis, all is empty.
func (c *Charge) Along() (address string, terms []any) {
	if !c.owes() {
		return "", []any{0, 0, 0, 0}
	}
	return c.address, c.limiter.shared.terms
}

// owes reports whether something is to be taken in Redis.
func (c *Charge) owes() bool {
	return c != nil && !c.paid && c.limiter != nil && c.limiter.shared != nil
}

// Paid settles c with what a script took along from the address and from the key
// of a user. If that is not userID's, the user pays now. The error is an
// *ExceededError, or that of ctx.
func (c *Charge) Paid(ctx context.Context, userID, key string, took [2]int64) error {
	if !c.owes() {
		return nil
	}
	l := c.limiter
	if l.shared.away.Load() {
		// It may be that nobody has to go to Redis by themselves: then nobody else
		// would find out that the outage is over. Nothing is taken.
		_, _ = l.shared.take(ctx, "", "")
	}
	user := l.names.user(userID)
	if user == "" || user == key {
		c.paid = true
		return c.settle(user, took)
	}
	// The session is older than the key of the names, or somebody changed it.
	if err := c.settle("", [2]int64{took[0], 0}); err != nil {
		c.paid = true
		return err
	}
	c.address = "" // has paid
	return c.Pay(ctx, userID)
}
