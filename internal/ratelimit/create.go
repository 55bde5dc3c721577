package ratelimit

import "context"

// CheckCreate refuses a user with no customer.create token left, as far as this
// process knows. It charges nothing. The error is an *ExceededError.
func (l *Limiter) CheckCreate(userID string) error {
	if l == nil {
		return nil
	}
	return l.verdict(Create, l.create, l.creations.exceeded(l.names.Load().creation(userID), l.create, l.now().UnixMicro()))
}

// PayCreate charges one customer.create token to the user's allowance. The error is
// an *ExceededError, or ctx's own.
func (l *Limiter) PayCreate(ctx context.Context, userID string) error {
	if l == nil || l.create.N == 0 {
		return nil
	}
	key := l.names.Load().creation(userID)
	if l.shared != nil {
		took, err := l.shared.takeFor(ctx, "", key, []any{0, 0, l.create.interval(), l.create.capacity()})
		if err == nil {
			l.creations.learn(key, l.create, l.now().UnixMicro(), took[1])
			return l.verdict(Create, l.create, took[1])
		}
		if ctx.Err() != nil {
			return ctx.Err() //nolint:wrapcheck // the caller's own error
		}
	}
	return l.verdict(Create, l.create, l.creations.take(key, l.create, l.now().UnixMicro()))
}
