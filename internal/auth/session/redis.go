package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
	"dropgate/internal/redisbatch"
)

//go:embed scripts/*.lua
var scripts embed.FS

// Redis keeps sessions in a Redis server, for all replicas. Each operation is
// one script, so that nothing can happen in the middle of it. The server has to
// be one that holds all keys: not a Redis Cluster.
type Redis struct {
	limits     Limits
	client     *redis.Client
	start, end *redis.Script
	find       *redisbatch.Script
}

// findTimeout is how long finding a session takes at most: as long as the client
// waits for one answer, so that it tries again after a cut alone.
const findTimeout = 2 * time.Second

// NewRedis returns a store on the server of client, which the caller closes. It
// does not connect. How long an outage takes to be told is up to client.
func NewRedis(client *redis.Client, limits Limits) *Redis {
	return &Redis{
		limits: limits,
		client: client,
		start:  redis.NewScript(text("shared", "start")),
		find: redisbatch.New(redisbatch.Config{
			Client: client, Text: ratelimit.Take() + text("shared", "find"), Keys: 2, Args: 6, Timeout: findTimeout,
		}),
		end: redis.NewScript(text("shared", "end")),
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
	data, err := json.Marshal(stored{s.User.ID, s.User.Claims, s.Subject, s.SID, s.IDToken.Reveal()}, json.FormatNilMapAsNull(true))
	if err != nil {
		return Ended{}, fmt.Errorf("writing a session: %w", err)
	}
	now := r.limits.Now()
	ended, err := r.start.Run(ctx, r.client,
		[]string{sessionName(key), name("subject", s.Subject), name("sid", s.SID), name("used", by.Once), sessionName(by.Replaces)},
		now.UnixMilli(), now.Add(r.limits.Idle).UnixMilli(), now.Add(r.limits.Lifetime).UnixMilli(), data,
		maxPerSubject, rand.Text(), rememberUse.Milliseconds(), ratelimit.UserKey(s.User.ID),
	).Int64Slice()
	if err != nil {
		return Ended{}, failed(err)
	}
	if len(ended) == 0 {
		return Ended{}, ErrUsed
	}
	return Ended{Replaced: int(ended[0]), Displaced: int(ended[1])}, nil
}

// Find implements Store. What the request owes to rate limits in the same Redis
// ([ratelimit.FromContext]) is taken in the same round trip, and before the
// session is used.
func (r *Redis) Find(ctx context.Context, key Key, effect Effect) (Session, error) {
	var extend time.Duration
	if effect == Extend {
		extend = r.limits.Idle
	}
	charge := ratelimit.FromContext(ctx)
	address, terms := charge.Along()
	answer, err := r.find.Run(ctx, redisbatch.Call{
		Keys: []string{sessionName(key), address},
		Args: append([]any{r.limits.Now().UnixMilli(), extend.Milliseconds()}, terms...),
	})
	if err != nil {
		return Session{}, failed(err)
	}
	found, err := readFound(answer)
	if err != nil {
		return Session{}, err
	}
	if err := charge.Paid(ctx, found.User.ID, found.address, found.user); err != nil {
		return found.Session, err
	}
	if found.Expires.IsZero() {
		return Session{}, ErrNone
	}
	return found.Session, nil
}

// found is what scripts/find.lua returns. Without Expires there is no session.
type found struct {
	Session

	address, user int64 // what was taken along
}

// errAnswer is an outage, and neither a session nor that there is none.
var errAnswer = failed(errors.New("an answer of another form"))

func readFound(answer []any) (found, error) {
	var f found
	if len(answer) != 2 && len(answer) != 4 {
		return f, errAnswer
	}
	var ok [2]bool
	f.address, ok[0] = answer[0].(int64)
	f.user, ok[1] = answer[1].(int64)
	if ok != [2]bool{true, true} {
		return f, errAnswer
	}
	if len(answer) == 2 {
		return f, nil
	}
	data, _ := answer[2].(string)
	ends, _ := answer[3].(string)
	var err error
	if f.Session, err = read(data); err != nil {
		return f, err
	}
	millis, err := strconv.ParseInt(ends, 10, 64)
	f.Expires = time.UnixMilli(millis)
	return f, failed(err)
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
	// An entry that names nobody must not sign anybody in as "".
	if err := json.Unmarshal([]byte(data), &s); err != nil || !clienttoken.ValidUserID(s.ID) {
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
