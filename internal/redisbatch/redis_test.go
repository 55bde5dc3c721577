package redisbatch_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/redisbatch"
)

func realRedis(t *testing.T) *redis.Client {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" && os.Getenv("CI") == "true" {
		t.Fatal("TEST_REDIS_URL is not set")
	} else if url == "" {
		t.Skip("TEST_REDIS_URL is not set")
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

const sum = `
local function one(keys, args)
  if args[1] == 'fail' then return redis.call('NOSUCHCOMMAND', keys[1]) end
  if args[1] == 'error' then error('of its own') end
  if args[1] == 'reply' then return redis.error_reply('WRONG said so') end
  if args[1] == 'number' then return 1 end
  if args[1] == 'nothing' then return nil end
  if args[1] == 'OOM' or args[1] == 'NOPERM' or args[1] == 'MASTERDOWN' then error({ err = args[1] .. ' of this call' }) end
  if args[1] == 'table' then error({ 1, 2, 3 }) end
  return { keys[1], keys[2], args[1] + args[2] }
end
`

func TestEachCallGetsItsOwnAnswer(t *testing.T) {
	s := redisbatch.New(redisbatch.Config{Client: realRedis(t), Text: sum, Keys: 2, Args: 2, Timeout: 10 * time.Second})
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			key := fmt.Sprint("key ", i)
			got, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{key, ""}, Args: []any{i, 1}})
			if err != nil || len(got) != 3 || got[0] != key || got[1] != "" || got[2] != int64(i+1) {
				t.Errorf("call %d: %v, error %v", i, got, err)
			}
		})
	}
	all.Wait()
}

func TestAFailedCallFailsAlone(t *testing.T) {
	s := redisbatch.New(redisbatch.Config{Client: realRedis(t), Text: sum, Keys: 2, Args: 2, Timeout: 10 * time.Second})
	bad := map[string]string{
		"fail": "unknown", "error": "of its own", "reply": "WRONG said so", "number": "no answer", "no number": "arithmetic",
		"nothing": "no answer", "table": "table",
		// go-redis has types for these, and stops reading a list at one of them.
		"OOM": "OOM of this call", "NOPERM": "NOPERM of this call", "MASTERDOWN": "MASTERDOWN of this call",
	}
	var all sync.WaitGroup
	for range 100 {
		for kind, says := range bad {
			all.Go(func() {
				got, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{"a", "b"}, Args: []any{kind, 0}})
				if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(says)) {
					t.Errorf("%s: %v, error %v", kind, got, err)
				}
			})
			all.Go(func() {
				got, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{"a", "b"}, Args: []any{1, 2}})
				if err != nil || len(got) != 3 || got[2] != int64(3) {
					t.Errorf("next to a failed call: %v, error %v", got, err)
				}
			})
		}
	}
	all.Wait()
}

// A server turned replica reports it for each call, and its address may already
// lead to the new master. go-redis must see the error, to close the connection.
func TestAReadOnlyServersConnectionIsClosed(t *testing.T) {
	client := realRedis(t)
	s := redisbatch.New(redisbatch.Config{Client: client, Keys: 1, Args: 1, Timeout: 10 * time.Second, Text: `
local function one(keys, args)
  if args[1] == 'replica' then error({ err = "READONLY You can't write against a read only replica." }) end
  if args[1] == 'replica of Redis 6' then error("@user_script: 1: -READONLY You can't write against a read only replica.") end
  return { keys[1] }
end
`})
	for _, kind := range []string{"replica", "replica of Redis 6"} {
		if _, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{"a"}, Args: []any{"writes"}}); err != nil {
			t.Fatal(err)
		}
		conns := client.PoolStats().TotalConns
		_, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{"a"}, Args: []any{kind}})
		if !redis.IsReadOnlyError(err) {
			t.Errorf("%s: %v", kind, err)
		}
		if now := client.PoolStats().TotalConns; now != conns-1 {
			t.Errorf("%s: %d connections, and %d before", kind, now, conns)
		}
	}
}

// BenchmarkRun measures 64 concurrent callers per processor.
func BenchmarkRun(b *testing.B) {
	options, err := redis.ParseURL(os.Getenv("TEST_REDIS_URL"))
	if err != nil {
		b.Skip("TEST_REDIS_URL is not set")
	}
	client := redis.NewClient(options)
	b.Cleanup(func() { _ = client.Close() })
	s := redisbatch.New(redisbatch.Config{Client: client, Text: sum, Keys: 2, Args: 2, Timeout: 10 * time.Second})
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Run(b.Context(), redisbatch.Call{Keys: []string{"a", "b"}, Args: []any{1, 2}}); err != nil {
				b.Error(err)
			}
		}
	})
}
