package ratelimit

import (
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxKept bounds what one replica remembers of each scope: an entry takes less than
// 140 bytes, so all take less than 4 MiB. Beyond it the one that was seen longest
// ago is forgotten, and has a full allowance again: whoever wants that has to come
// from so many addresses, and has so many allowances anyway.
const maxKept = 30_000

// memory counts what this process sees, and keeps what Redis said last. An
// entry is a time in microseconds, as in scripts/take.lua; one that has passed
// means nothing, so that it has a life without being taken out. Keys are kept as
// hashes by a seed of this process's own, so nobody can choose two that collide.
type memory struct {
	seed maphash.Seed

	mu     sync.Mutex
	filled *simplelru.LRU[uint64, int64]
}

func newMemory() *memory {
	filled, err := simplelru.NewLRU[uint64, int64](maxKept, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &memory{seed: maphash.MakeSeed(), filled: filled}
}

func (m *memory) hash(key string) uint64 { return maphash.String(m.seed, key) }

// take is take of scripts/take.lua.
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

// exceeded returns minus how long to wait, or 0 when take would let a request
// pass, and takes nothing.
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

// learn keeps what Redis said when it took.
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
	// Answers may come in another order than they were made in.
	if filled, _ := m.filled.Peek(hashed); filled < now+used {
		m.filled.Add(hashed, now+used)
	}
}
