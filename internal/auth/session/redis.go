package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"dropgate/internal/clienttoken"
)

//go:embed scripts/*.lua
var scripts embed.FS

// Redis keeps sessions in a Redis server, for all replicas. Each operation is
// one script, so that nothing can happen in the middle of it. The server has to
// be one that holds all keys: not a Redis Cluster.
type Redis struct {
	limits           Limits
	client           *redis.Client
	start, find, end *redis.Script
}

// Within which Redis has to answer, so that an outage is told and not waited
// for.
const redisTimeout = 2 * time.Second

// NewRedis returns a store on the server that url names:
// redis://user:password@host:6379/0, or rediss:// for TLS. It does not connect.
// The error does not hold the url.
func NewRedis(url clienttoken.Secret, limits Limits) (*Redis, error) {
	options, err := redis.ParseURL(url.Reveal())
	if err != nil {
		return nil, errors.New("is no URL such as rediss://user:password@host:6379/0")
	}
	// It writes every failed connection to standard error, as text. Callers get
	// those failures, and log them.
	logging.Disable()
	options.ContextTimeoutEnabled = true
	options.DialTimeout = redisTimeout
	options.ReadTimeout = redisTimeout
	options.WriteTimeout = redisTimeout
	options.PoolTimeout = redisTimeout
	options.DialerRetries = 1
	options.MaxRetries = 1 // for connections that a restart of Redis has cut
	return &Redis{
		limits: limits,
		client: redis.NewClient(options),
		start:  script("start"),
		find:   script("find"),
		end:    script("end"),
	}, nil
}

func script(name string) *redis.Script {
	var text []byte
	for _, file := range []string{"shared", name} {
		part, err := scripts.ReadFile("scripts/" + file + ".lua")
		if err != nil {
			panic(err) // only when the file is not in the binary
		}
		text = append(text, part...)
	}
	return redis.NewScript(string(text))
}

// Close closes the connections.
func (r *Redis) Close() error {
	return r.client.Close() //nolint:wrapcheck // says all
}

// Ping reports whether the server answers.
func (r *Redis) Ping(ctx context.Context) error {
	return failed(r.client.Ping(ctx).Err())
}

// stored is the form of a Session in Redis.
type stored struct {
	ID      string         `json:"id"`
	Claims  map[string]any `json:"claims"`
	Subject string         `json:"subject"`
	SID     string         `json:"sid,omitempty"`
	IDToken string         `json:"id_token,omitempty"`
}

// Start implements Store.
func (r *Redis) Start(ctx context.Context, key Key, s Session, by SignIn) (Ended, error) {
	data, err := json.Marshal(stored{s.User.ID, s.User.Claims, s.Subject, s.SID, s.IDToken.Reveal()})
	if err != nil {
		return Ended{}, fmt.Errorf("writing a session: %w", err)
	}
	now := r.limits.Now()
	ended, err := r.start.Run(ctx, r.client,
		[]string{sessionName(key), name("subject", s.Subject), name("sid", s.SID), name("used", by.Once), sessionName(by.Replaces)},
		now.UnixMilli(), now.Add(r.limits.Idle).UnixMilli(), now.Add(r.limits.Lifetime).UnixMilli(), data,
		maxPerSubject, rand.Text(), rememberUse.Milliseconds(),
	).Int64Slice()
	if err != nil {
		return Ended{}, failed(err)
	}
	if len(ended) == 0 {
		return Ended{}, ErrUsed
	}
	return Ended{Replaced: int(ended[0]), Displaced: int(ended[1])}, nil
}

// Find implements Store.
func (r *Redis) Find(ctx context.Context, key Key, effect Effect) (Session, error) {
	var extend time.Duration
	if effect == Extend {
		extend = r.limits.Idle
	}
	answer, err := r.find.Run(ctx, r.client, []string{sessionName(key)},
		r.limits.Now().UnixMilli(), extend.Milliseconds()).StringSlice()
	if errors.Is(err, redis.Nil) {
		return Session{}, ErrNone
	}
	if err != nil {
		return Session{}, failed(err)
	}
	s, err := read(answer[0])
	if err != nil {
		return Session{}, err
	}
	ends, err := strconv.ParseInt(answer[1], 10, 64)
	if err != nil {
		return Session{}, failed(err)
	}
	s.Expires = time.UnixMilli(ends)
	return s, nil
}

// End implements Store.
func (r *Redis) End(ctx context.Context, which Which) ([]Session, error) {
	answer, err := r.end.Run(ctx, r.client,
		[]string{sessionName(which.Key), name("subject", which.Subject), name("sid", which.SID), name("used", which.Once)},
		r.limits.Now().UnixMilli(), rand.Text(), rememberUse.Milliseconds(),
	).Result()
	if err != nil {
		return nil, failed(err)
	}
	list, ok := answer.([]any)
	if !ok {
		return nil, ErrUsed
	}
	ended := make([]Session, 0, len(list))
	for _, item := range list {
		data, _ := item.(string)
		s, err := read(data)
		if err != nil {
			return ended, err
		}
		ended = append(ended, s)
	}
	return ended, nil
}

func read(data string) (Session, error) {
	var s stored
	if err := json.Unmarshal([]byte(data), &s); err != nil {
		return Session{}, failed(errors.New("what is stored is no session")) // err may quote it
	}
	return Session{
		User:    clienttoken.User{ID: s.ID, Claims: s.Claims},
		Subject: s.Subject,
		SID:     s.SID,
		IDToken: clienttoken.NewSecret(s.IDToken),
	}, nil
}

func sessionName(key Key) string { return "dropgate:session:" + hex.EncodeToString(key[:]) }

// name is where something is kept under its SHA-256: of a bounded length, and
// telling nothing to who lists the keys. It is empty for nothing.
func name(kind, of string) string {
	if of == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(of))
	return "dropgate:" + kind + ":" + hex.EncodeToString(sum[:])
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
