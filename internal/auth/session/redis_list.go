package session

import (
	"context"
	"strconv"
	"time"
)

// List implements Store.
func (r *Redis) List(ctx context.Context, who Selector) ([]Listed, error) {
	key := r.epochs.name
	if who.Handle != (Handle{}) {
		key = r.sealer.Load().handledName(who.Handle)
	}
	args := []any{r.config.Limits.Now().UnixMilli(), r.epochs.name, r.epochs.known(), r.epochs.fresh, MaxListed}
	answer, err := r.run(ctx, r.list, key, withLists(args, r.indexesOf(who)))
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, item := range answer.rest {
		var rec record
		var idle string
		if fields, ok := item.([]any); !ok || len(fields) != 6 || !texts(fields, &rec.name, &idle, &rec.deadline, &rec.subject, &rec.sid, &rec.owner) {
			return nil, errAnswer
		}
		if s, ok := r.listed(rec, idle, who); ok {
			all = append(all, s)
		}
	}
	return all, nil
}

// listed reads a record. It reports false for a forged one, for one of another scope,
// and for a session that has ended.
func (r *Redis) listed(rec record, idle string, who Selector) (Listed, bool) {
	o, err := r.sealer.Load().owned(rec)
	if err != nil || !o.in(r.epochs.latest.Load().name()) || r.hasEnded(rec.name) {
		return Listed{}, false
	}
	if who.Handle == (Handle{}) && o.ID != who.User && (who.Subject == "" || o.Subject != who.Subject) {
		return Listed{}, false // the index is forged
	}
	ends, errIdle := strconv.ParseInt(idle, 10, 64)
	deadline, errDeadline := strconv.ParseInt(rec.deadline, 10, 64)
	handle, ok := handleOf(rec.name)
	if errIdle != nil || errDeadline != nil || !ok {
		return Listed{}, false
	}
	var started time.Time
	if o.Started > 0 {
		started = time.UnixMilli(o.Started)
	}
	s := r.config.Limits.listed(started, time.UnixMilli(ends), time.UnixMilli(deadline))
	s.Handle, s.UserID = handle, o.ID
	return s, true
}

// in reports whether the session began in an epoch, as far as its owner tells.
func (o ownership) in(epoch string) bool { return o.Epoch == "" || o.Epoch == epoch }
