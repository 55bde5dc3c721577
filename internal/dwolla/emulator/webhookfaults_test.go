package emulator_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
	reader "dropgate/internal/dwolla"
	"dropgate/internal/dwolla/emulator"
)

func TestRetriesWaitTwiceAsLongEachTime(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		m.answers = slices.Repeat([]int{http.StatusInternalServerError}, 20)
		d.setStatus(d.customer(emulator.Customer{}).ID, "suspended")
		d.awaitInFakeTime()
		want := []time.Duration{0, 100, 300, 700, 1500, 3100, 6300, 12700, 25500}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if got := m.times(); !slices.Equal(got, want) {
			t.Errorf("sent at %v, want %v", got, want)
		}
	})
}

func TestAnAnswerIsAwaitedForTenSeconds(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		m.block = make(chan struct{})
		d.setStatus(d.customer(emulator.Customer{}).ID, "suspended")
		pass(10*time.Second + 100*time.Millisecond)
		if got, want := m.times(), []time.Duration{0, 10*time.Second + 100*time.Millisecond}; !slices.Equal(got, want) {
			t.Errorf("sent at %v, want %v", got, want)
		}
		close(m.block)
		d.awaitInFakeTime()
		if !d.Webhooks()[0].Delivered {
			t.Error("never delivered")
		}
	})
}

func TestTenWebhooksAreSentAtOnce(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		m.block = make(chan struct{})
		id := d.customer(emulator.Customer{}).ID
		for range 20 {
			d.setStatus(id, "suspended", "verified")
		}
		synctest.Wait()
		if got := len(m.mail()); got != 10 {
			t.Errorf("%d are being sent, want 10", got)
		}
		close(m.block)
		d.awaitInFakeTime()
		if got := len(m.read(t)); got != 40 || m.most != 10 {
			t.Errorf("%d came, %d at once", got, m.most)
		}
	})
}

func TestWebhookFaultHitsAsManyEventsAsAsked(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		id := d.customer(emulator.Customer{}).ID
		d.InjectWebhookFault(emulator.WebhookFault{Times: 2, Twice: true})
		d.setStatus(id, "suspended", "verified", "deactivated")
		d.awaitInFakeTime()
		d.InjectWebhookFault(emulator.WebhookFault{Twice: true})
		d.setStatus(id, "verified")
		d.ClearFaults()
		d.setStatus(id, "suspended")
		d.awaitInFakeTime()
		times := map[string]int{}
		for _, w := range m.read(t) {
			times[w.ID]++
		}
		var got []int
		for _, w := range d.Webhooks() {
			got = append(got, times[w.ID])
		}
		if !slices.Equal(got, []int{2, 2, 1, 2, 1}) {
			t.Errorf("came %v times", got)
		}
	})
}

func TestADelayedEventComesLate(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		id := d.customer(emulator.Customer{}).ID
		d.InjectWebhookFault(emulator.WebhookFault{Times: 1, Delay: time.Hour})
		d.setStatus(id, "suspended")
		pass(time.Minute)
		d.setStatus(id, "verified")
		d.awaitInFakeTime()
		if got, want := m.times(), []time.Duration{time.Minute, time.Hour}; !slices.Equal(got, want) {
			t.Errorf("came at %v, want %v", got, want)
		}
		if read := m.read(t); !read[1].Created.Before(read[0].Created) {
			t.Error("they came in order")
		}
	})
}

func TestEventsHeldBackComeInReverse(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		id := d.customer(emulator.Customer{}).ID
		d.InjectWebhookFault(emulator.WebhookFault{Hold: true, Delay: time.Hour})
		d.setStatus(id, "suspended", "verified", "deactivated")
		d.ClearFaults()
		d.awaitInFakeTime() // which does not wait for them
		if got := m.mail(); len(got) != 0 {
			t.Errorf("%d came", len(got))
		}
		m.answers = []int{http.StatusInternalServerError}
		d.ReleaseWebhooks()
		synctest.Wait()
		d.ReleaseWebhooks() // and there is nothing left to release
		want := []string{"customer_deactivated", "customer_activated", "customer_suspended"}
		if got := m.topics(t); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		d.awaitInFakeTime()
		if got := m.topics(t); !slices.Equal(got, append(want, want[0])) {
			t.Errorf("got %v", got)
		}
	})
}

func TestAWrongSignatureIsWrongAtEveryAttempt(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		m.answers = slices.Repeat([]int{http.StatusUnauthorized}, 9)
		id := d.customer(emulator.Customer{}).ID
		d.InjectWebhookFault(emulator.WebhookFault{Times: 1, WrongSignature: true})
		d.setStatus(id, "suspended")
		d.awaitInFakeTime()
		sent := d.Webhooks()[0]
		if sent.Attempts != 9 || sent.Delivered {
			t.Errorf("known as %+v", sent)
		}
		if err := d.Redeliver(sent.ID); err != nil {
			t.Fatal(err)
		}
		d.awaitInFakeTime()
		for i, r := range m.mail() {
			signature := r.header.Get(reader.SignatureHeader)
			_, err := reader.ReadWebhook(clienttoken.API{}, clienttoken.NewSecret(hookSecret), signature, []byte(r.body))
			if redelivered := i == 9; errors.Is(err, reader.ErrSignature) == redelivered || len(signature) != 64 {
				t.Errorf("attempt %d is signed with %q: %v", i, signature, err)
			}
		}
	})
}

func TestClosingEndsWhatIsOnItsWay(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		id := d.customer(emulator.Customer{}).ID
		d.InjectWebhookFault(emulator.WebhookFault{Times: 1, Delay: time.Hour})
		d.setStatus(id, "suspended")
		d.InjectWebhookFault(emulator.WebhookFault{Times: 1, Hold: true})
		d.setStatus(id, "verified")
		m.answers = []int{http.StatusInternalServerError}
		d.setStatus(id, "suspended")
		synctest.Wait() // now it waits for its retry
		m.block = make(chan struct{})
		for range 10 {
			d.setStatus(id, "verified", "suspended")
		}
		synctest.Wait()
		begin := time.Now()
		d.Close()
		d.awaitInFakeTime()
		d.ReleaseWebhooks()
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %v", took)
		}
		pass(2 * time.Hour)
		if got := len(m.mail()); got != 1+10 {
			t.Errorf("%d were sent, want 11", got)
		}
		m.block = nil
		d.mustSubscribe("http://subscriber.test/") // and it can begin again
		d.setStatus(id, "verified")
		d.awaitInFakeTime()
		if got := len(m.mail()); got != 1+10+1 {
			t.Errorf("%d were sent, want 12", got)
		}
	})
}

func TestRememberedAndPendingWebhooksAreBounded(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		const most = 10_000
		m.block = make(chan struct{})
		id := d.customer(emulator.Customer{}).ID
		for range most/2 + 50 {
			d.setStatus(id, "suspended", "verified")
		}
		sent := d.Webhooks()
		if len(sent) != most {
			t.Errorf("%d are remembered", len(sent))
		}
		if d.Redeliver(sent[0].ID) == nil {
			t.Error("one more is no error")
		}
		close(m.block)
		d.awaitInFakeTime()
		if got := len(m.mail()); got != most {
			t.Errorf("%d were sent", got)
		}
		if sent := d.Webhooks(); sent[most-1].Attempts != 0 || !sent[0].Delivered {
			t.Error("not the oldest were sent")
		}
	})
}
