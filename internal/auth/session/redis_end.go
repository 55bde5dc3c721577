package session

import (
	"context"
	"crypto/rand"
)

// End implements Store. Sessions selected by subject or SID lack their claims and
// ID token, which only the session's key decrypts.
func (r *Redis) End(ctx context.Context, sel Selector) ([]Stored, error) {
	key, what := r.sealer.Load().sessionName(sel.Key), "key"
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
		r.config.Limits.Now().UnixMilli(), r.epochs.name, r.epochs.known(), r.epochs.fresh, what, rand.Text(), onceTTL.Milliseconds(),
	}
	answer, err := r.run(ctx, r.end, key, withLists(args, r.once(sel.Once), r.sealer.Load().names("subject", sel.Subject), r.sids(sel.SID), r.logoutsBy(sel)))
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

// readEnded reads the sessions that scripts/end.lua has ended.
func (r *Redis) readEnded(rest []any, sel Selector) ([]Stored, error) {
	var ended []Stored
	for _, item := range rest {
		var rec record
		if fields, ok := item.([]any); !ok || len(fields) != 6 || !texts(fields, &rec.name, &rec.data, &rec.deadline, &rec.subject, &rec.sid, &rec.owner) {
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
	if sel.Subject != "" || sel.SID != "" {
		s, err := r.sealer.Load().owned(rec)
		return s, err == nil
	}
	s, err := r.sealer.Load().open(rec, sel.Key)
	return s.Stored, err == nil && s.epoch == r.epochs.latest.Load().name()
}
