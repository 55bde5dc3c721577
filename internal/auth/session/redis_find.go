package session

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"dropgate/internal/ratelimit"
	"dropgate/internal/redisbatch"
)

// Find implements Store. It pays the charge before it extends the session.
func (r *Redis) Find(ctx context.Context, key Key, touch Touch, charge *ratelimit.Charge) (Stored, error) {
	var extend time.Duration
	if touch == Extend {
		extend = r.config.Limits.Idle
	}
	address, terms := charge.ScriptArgs()
	name, now := r.sealer.Load().sessionName(key), r.config.Limits.Now()
	answer, err := r.find.Run(ctx, redisbatch.Call{
		Keys: []string{name},
		Args: append([]any{now.UnixMilli(), extend.Milliseconds(), r.epochs.name, r.epochs.known(), r.epochs.fresh, address}, terms...),
	})
	if err != nil {
		return Stored{}, outage(err)
	}
	found, err := readFound(answer)
	if err != nil {
		return Stored{}, err
	}
	r.epochs.learn(found.epoch)
	found.name = name
	s, err := r.verify(found, key, now)
	if err := charge.Settle(ctx, s.User.ID, found.limit, found.took); err != nil {
		return s, err
	}
	return s, err
}

// Follow reads the epoch that other replicas have reached, so that this one
// notices when Redis loses data.
func (r *Redis) Follow(ctx context.Context) error {
	answer, err := r.find.Run(ctx, redisbatch.Call{
		Keys: []string{r.epochs.name}, // not a session
		Args: []any{r.config.Limits.Now().UnixMilli(), 0, r.epochs.name, r.epochs.known(), r.epochs.fresh, "", 0, 0, 0, 0},
	})
	if err != nil {
		return outage(err)
	}
	found, err := readFound(answer)
	r.epochs.learn(found.epoch)
	return err
}

// verify decrypts a session, or returns ErrNone: the record may be forged, or its
// session ended.
func (r *Redis) verify(f found, key Key, now time.Time) (Stored, error) {
	if f.data == "" || r.hasEnded(f.name) {
		return Stored{}, ErrNone
	}
	s, err := r.sealer.Load().open(f.record, key)
	if err != nil || s.epoch != r.epochs.latest.Load().name() {
		return Stored{}, ErrNone
	}
	ends, err := strconv.ParseInt(f.ends, 10, 64)
	deadline, errDeadline := strconv.ParseInt(f.deadline, 10, 64)
	s.Expires = time.UnixMilli(min(ends, deadline))
	if err != nil || errDeadline != nil || !now.Before(s.Expires) {
		return Stored{}, ErrNone
	}
	name := f.name // does not retain the rest of f
	s.Over = func() bool { return r.hasEnded(name) }
	return s.Stored, nil
}

// found is the answer of scripts/find.lua. Empty data means ErrNone.
type found struct {
	record

	took        [2]int64 // charged to the address and to the user behind limit
	epoch       string
	ends, limit string
}

// errAnswer is an outage, not ErrNone.
var errAnswer = outage(errors.New("malformed answer of a script"))

func readFound(answer []any) (found, error) {
	var f found
	if len(answer) != 3 && len(answer) != 5 {
		return f, errAnswer
	}
	var rest string
	var ok [2]bool
	f.took[0], ok[0] = answer[0].(int64)
	f.took[1], ok[1] = answer[1].(int64)
	if ok != [2]bool{true, true} || !texts(answer[2:3], &f.epoch) ||
		!texts(answer[3:], &f.data, &rest) {
		return found{}, errAnswer
	}
	// A forged value fails to decrypt later, so this cannot fail.
	for _, part := range []*string{&f.ends, &f.deadline, &f.subject, &f.sid, &f.user} {
		*part, rest, _ = strings.Cut(rest, " ")
	}
	f.limit = rest
	return f, nil
}

// texts copies strings from an answer. It reports false for any other type.
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
