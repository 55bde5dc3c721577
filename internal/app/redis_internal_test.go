package app

import (
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

func TestRedisURLFaultDoesNotShowURL(t *testing.T) {
	for _, url := range []string{
		"", "hunter2", "hunter2://host:6379", "https://user:hunter2@host", "redis://user:hunter2@host:port/0", "redis://user:hunter2@host:6379/zero",
		"redis://user:hunter2@host:6379/0/1", "redis://user:hunter2@host:6379/0?no_such=hunter2", "redis://host:6379/0?pool_size=hunter2", "://hunter2", "redis://hunter2%zz@host",
	} {
		_, err := parseRedis(clienttoken.NewSecret(url), redisServer)
		if err == nil {
			t.Errorf("%q is accepted", url)
		} else if strings.Contains(err.Error(), "hunter2") || err.Error() != "is not a URL such as rediss://user:password@host:6379/0" {
			t.Errorf("%q: %v", url, err)
		}
	}
}
