package app

import (
	"context"
	"errors"
	"time"

	"dropgate/internal/auth/session"
)

// followRedis follows sessions ended by other replicas. Once Redis answers, it also
// warns about settings that could restore ended sessions.
func (a *App) followRedis(ctx context.Context, sessions *session.Redis) {
	for warned := false; ctx.Err() == nil; {
		look, cancel := context.WithTimeout(ctx, watchWithin)
		_ = sessions.Follow(look) // readiness reports an outage
		if !warned {
			warned = a.warnOfRedis(look, sessions)
		}
		cancel()
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
		}
	}
}

// warnOfRedis logs each risky setting, and reports whether Redis answered.
func (a *App) warnOfRedis(ctx context.Context, sessions *session.Redis) bool {
	doubts, err := sessions.RiskySettings(ctx)
	for _, doubt := range doubts {
		a.log.Warn().Str("setting", doubt).Msg("Redis may restore ended sessions")
	}
	if errors.Is(err, session.ErrUnknownSettings) {
		a.log.Warn().Msg("Redis does not show its settings; check them as docs/authentication.md says, so that ended sessions stay ended")
		return true
	}
	return err == nil
}
