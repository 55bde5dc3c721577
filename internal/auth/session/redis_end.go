package session

import (
	"context"
	"crypto/rand"
)

// End implements Store. Only a session selected by its key has its claims and its ID
// token, which that key decrypts.
func (r *Redis) End(ctx context.Context, sel Selector) ([]Stored, error) {
	if sel.Handle != (Handle{}) {
		if listed, err := r.List(ctx, Selector{Handle: sel.Handle}); len(listed) == 0 {
			return nil, err // none, or a session of another scope
		}
	}
	key, what := r.selected(sel)
	args := []any{
		r.config.Limits.Now().UnixMilli(), r.epochs.name, r.epochs.known(), r.epochs.fresh, what, rand.Text(), onceTTL.Milliseconds(),
	}
	answer, err := r.run(ctx, r.end, key, withLists(args,
		r.once(sel.Once), r.sealer.Load().names("subject", sel.Subject), r.sids(sel.SID), r.logoutsBy(sel), r.indexesOf(sel)))
	switch {
	case err != nil:
		return nil, err
	case answer.outcome == usedBefore:
		return nil, ErrUsed
	case answer.outcome != done:
		return nil, errAnswer
	}
	return r.readEnded(answer.rest, sel)
}

// selected returns the key of scripts/end.lua and what to end.
func (r *Redis) selected(sel Selector) (key, what string) {
	switch {
	case sel == Selector{Once: sel.Once}:
		return r.epochs.name, "none"
	case sel.Handle != (Handle{}):
		return r.sealer.Load().handledName(sel.Handle), "key"
	case sel.User != "":
		return r.epochs.name, "user"
	case sel.Subject != "" && sel.SID != "":
		return r.epochs.name, "both"
	case sel.Subject != "":
		return r.epochs.name, "subject"
	case sel.SID != "":
		return r.epochs.name, "sid"
	}
	return r.sealer.Load().sessionName(sel.Key), "key"
}

// indexesOf returns the indexes with the sessions of sel.User.
func (r *Redis) indexesOf(sel Selector) []string {
	if sel.User == "" {
		return nil
	}
	indexes := r.sealer.Load().names("user", sel.User)
	if sel.Subject != "" {
		indexes = append(indexes, r.sealer.Load().names("subject", sel.Subject)...)
	}
	return indexes
}

// readEnded reads the sessions that scripts/end.lua has ended.
func (r *Redis) readEnded(rest []any, sel Selector) ([]Stored, error) {
	var ended []Stored
	for _, item := range rest {
		var rec record
		if fields, ok := item.([]any); !ok || len(fields) != 7 || !texts(fields, &rec.name, &rec.data, &rec.deadline, &rec.subject, &rec.sid, &rec.user, &rec.owner) {
			return ended, errAnswer
		}
		r.noteEnded(rec.name)
		if s, ok := r.openEnded(rec, sel); ok {
			ended = append(ended, s)
		}
	}
	return ended, nil
}

// openEnded decrypts an ended session. It reports false for a forged record, and
// for a session of an old epoch.
func (r *Redis) openEnded(rec record, sel Selector) (Stored, bool) {
	latest := r.epochs.latest.Load().name()
	if sel.Key == (Key{}) {
		o, err := r.sealer.Load().owned(rec)
		return o.stored(), err == nil && o.in(latest)
	}
	s, err := r.sealer.Load().open(rec, sel.Key)
	return s.Stored, err == nil && s.epoch == latest
}
