package app

import (
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

func TestAFaultInTheURLOfRedisDoesNotShowIt(t *testing.T) {
	for _, url := range []string{
		"", "hunter2", "hunter2://host:6379", "https://user:hunter2@host", "redis://user:hunter2@host:port/0", "redis://user:hunter2@host:6379/zero",
		"redis://user:hunter2@host:6379/0/1", "redis://user:hunter2@host:6379/0?no_such=hunter2", "redis://host:6379/0?pool_size=hunter2", "://hunter2", "redis://hunter2%zz@host",
	} {
		client, err := openRedis(clienttoken.NewSecret(url))
		if err == nil {
			_ = client.Close()
			t.Errorf("%q is accepted", url)
		} else if strings.Contains(err.Error(), "hunter2") || err.Error() != "is no URL such as rediss://user:password@host:6379/0" {
			t.Errorf("%q: %v", url, err)
		}
	}
}
