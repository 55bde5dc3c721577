package session

import (
	"context"
	"crypto/rand"
)

// End implements Store. Of sessions that are ended by their subject or SID it
// returns neither claims nor ID token: those open only with the session's key.
func (r *Redis) End(ctx context.Context, sel Selector) ([]Stored, error) {
	key, what := r.vault.session(sel.Key), "key"
	switch {
	case sel == Selector{Once: sel.Once}:
		key, what = r.epochs.name, "none"
	case sel.Subject != "" && sel.SID != "":
		key, what = r.epochs.name, "both"
	case sel.Subject != "":
		key, what = r.epochs.name, "subject"
	case sel.SID != "":
		key, what = r.epochs.name, "sid"
	}
	args := []any{
		r.config.Limits.Now().UnixMilli(), r.epochs.name, r.epochs.claim(), r.epochs.fresh, what, rand.Text(), rememberUse.Milliseconds(),
	}
	answer, err := r.run(ctx, r.end, key, withLists(args, r.once(sel.Once), r.vault.names("subject", sel.Subject), r.sids(sel.SID), r.logoutsBy(sel)))
	switch {
	case err != nil:
		return nil, err
	case answer.outcome == usedBefore:
		return nil, ErrUsed
	case answer.outcome != done:
		return nil, errAnswer
	}
	return r.endings(answer.rest, sel)
}

// endings are the sessions that scripts/end.lua has ended.
func (r *Redis) endings(rest []any, sel Selector) ([]Stored, error) {
	var ended []Stored
	for _, item := range rest {
		var rec record
		if fields, ok := item.([]any); !ok || len(fields) != 6 || !texts(fields, &rec.name, &rec.data, &rec.deadline, &rec.subject, &rec.sid, &rec.owner) {
			return ended, errAnswer
		}
		r.forget(rec.name)
		if s, ok := r.ending(rec, sel); ok {
			ended = append(ended, s)
		}
	}
	return ended, nil
}

// ending is a session that was ended, and false for one that never was one.
func (r *Redis) ending(rec record, sel Selector) (Stored, bool) {
	if sel.Subject != "" || sel.SID != "" {
		s, err := r.vault.owned(rec)
		return s, err == nil
	}
	s, err := r.vault.open(rec, sel.Key)
	return s.Stored, err == nil && s.epoch == r.epochs.latest.Load().name()
}
