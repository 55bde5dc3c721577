package app

import (
	"context"
	"errors"
	"time"

	"dropgate/internal/auth/session"
)

// followRedis keeps up with what other replicas end. Once Redis answers it also
// warns about settings that let ended sessions come back.
func (a *App) followRedis(ctx context.Context, sessions *session.Redis) {
	for doubted := false; ctx.Err() == nil; {
		look, cancel := context.WithTimeout(ctx, watchWithin)
		_ = sessions.Follow(look) // readiness reports an outage
		if !doubted {
			doubted = a.doubt(look, sessions)
		}
		cancel()
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
		}
	}
}

// doubt writes a line for each doubtful setting, and reports whether Redis answered.
func (a *App) doubt(ctx context.Context, sessions *session.Redis) bool {
	doubts, err := sessions.RiskySettings(ctx)
	for _, doubt := range doubts {
		a.log.Warn().Str("setting", doubt).Msg("Redis may restore ended sessions")
	}
	if errors.Is(err, session.ErrUnknownSettings) {
		a.log.Warn().Msg("Redis does not show its settings: compare them with docs/authentication.md, so that ended sessions stay ended")
		return true
	}
	return err == nil
}
