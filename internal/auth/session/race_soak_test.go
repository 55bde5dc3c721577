//go:build soak

package session_test

import "testing"

// The race of TestLogoutIsFinalDuringRequests with many more logouts. It takes about
// a minute.
func TestLogoutIsFinalDuringRequestsSoak(t *testing.T) {
	t.Run("Memory", func(t *testing.T) { raceInMemory(t, 10_000) })
	t.Run("Redis", func(t *testing.T) { raceInRedis(t, 10_000, 50) })
	t.Run("Redis, all requests for one session", func(t *testing.T) { raceInRedis(t, 100, 1) })
}
