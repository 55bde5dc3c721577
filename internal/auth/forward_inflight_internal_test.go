package auth

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestInFlightCredentialsEndWithTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live inFlightCredentials
		one, two := credentialsDigest{1}, credentialsDigest{2}
		first, endFirst := context.WithCancel(t.Context())
		second, endSecond := context.WithCancel(t.Context())
		defer endSecond()
		over, overToo, other := live.track(first, one), live.track(second, one), live.track(second, two)
		live.refuse(one)
		if !over() || !overToo() || other() {
			t.Errorf("over: %t, %t, %t; want both of the first credentials", over(), overToo(), other())
		}
		if live.track(second, one)() {
			t.Error("a request after the refusal is over already")
		}
		endFirst()
		endSecond()
		synctest.Wait()
		if len(live.entries) != 0 {
			t.Errorf("%d credentials are held after their requests", len(live.entries))
		}
	})
}
