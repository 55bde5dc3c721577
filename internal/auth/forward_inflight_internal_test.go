package auth

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestCredentialsAreForgottenWhenTheirRequestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live liveCredentials
		one, two := credentialsDigest{1}, credentialsDigest{2}
		first, endFirst := context.WithCancel(t.Context())
		second, endSecond := context.WithCancel(t.Context())
		defer endSecond()
		over, overToo, other := live.hold(first, one), live.hold(second, one), live.hold(second, two)
		live.refuse(one)
		if !over() || !overToo() || other() {
			t.Errorf("over: %t, %t, %t; want both of the first credentials", over(), overToo(), other())
		}
		if live.hold(second, one)() {
			t.Error("a request after the refusal is over already")
		}
		endFirst()
		endSecond()
		synctest.Wait()
		if len(live.held) != 0 {
			t.Errorf("%d credentials are held after their requests", len(live.held))
		}
	})
}
