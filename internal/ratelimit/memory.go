package ratelimit

import (
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxKept bounds the entries per scope in one replica. An entry takes less than 140
// bytes, so a scope takes less than 4 MiB. Beyond the bound, the least recently used
// entry is evicted and gets a full allowance again. Exploiting that takes so many
// addresses that their own allowances are worth more.
const maxKept = 30_000

// memory counts requests of this process, and caches the last answer of Redis. An
// entry is a time in microseconds, as in scripts/take.lua; once it has passed, the
// entry has no effect. Keys are hashed with a seed of this process, so that a client
// cannot choose keys that collide.
type memory struct {
	seed maphash.Seed

	mu     sync.Mutex
	filled *simplelru.LRU[uint64, int64]
}

func newMemory() *memory {
	filled, err := simplelru.NewLRU[uint64, int64](maxKept, nil)
	if err != nil {
		panic(err) // never: only a size below 1 fails
	}
	return &memory{seed: maphash.MakeSeed(), filled: filled}
}

func (m *memory) hash(key string) uint64 { return maphash.String(m.seed, key) }

// take does the same as take in scripts/take.lua.
func (m *memory) take(key string, limit Limit, now int64) int64 {
	if key == "" || limit.N == 0 {
		return 0
	}
	hashed := m.hash(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	filled, _ := m.filled.Get(hashed)
	used := max(filled-now, 0) + limit.interval()
	if left := limit.capacity() - used; left < 0 {
		return left
	}
	m.filled.Add(hashed, now+used)
	return used
}

// exceeded charges nothing. It returns 0 if take would let a request pass, or minus
// the time to wait.
func (m *memory) exceeded(key string, limit Limit, now int64) int64 {
	if key == "" || limit.N == 0 {
		return 0
	}
	hashed := m.hash(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	filled, _ := m.filled.Peek(hashed)
	return min(limit.capacity()-max(filled-now, 0)-limit.interval(), 0)
}

// learn caches the answer of Redis to a charge.
func (m *memory) learn(key string, limit Limit, now, took int64) {
	if key == "" || took == 0 {
		return
	}
	used := took
	if took < 0 {
		used = limit.capacity() - limit.interval() - took
	}
	hashed := m.hash(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	// Answers may arrive out of order.
	if filled, _ := m.filled.Peek(hashed); filled < now+used {
		m.filled.Add(hashed, now+used)
	}
}
