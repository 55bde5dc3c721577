package clienttoken

import "testing"

func TestTopicsHaveOneMeaningEach(t *testing.T) {
	seen := map[Topic]bool{}
	must, may := 0, 0
	for _, m := range topics() {
		if seen[m.topic] || m.topic == OtherTopic || m.topic.Label() != m.topic {
			t.Errorf("%s is listed twice, or has the label %s", m.topic, m.topic.Label())
		}
		seen[m.topic] = true
		if m.namesCustomer {
			must++
		}
		if m.topic.MayNameCustomer() {
			may++
		} else if m.namesCustomer || m.status != "" {
			t.Errorf("%s is not about a Customer, but names one", m.topic)
		}
	}
	if must != 7 || may != 12 {
		t.Errorf("%d topics must name a Customer and %d may, want 7 and 12", must, may)
	}
}

func TestStatusTopicsStateAStatus(t *testing.T) {
	for _, topic := range StatusTopics() {
		if topic.Status() == "" {
			t.Errorf("%s states no status", topic)
		}
	}
	if n := len(StatusTopics()); n != 5 {
		t.Errorf("%d topics state a status, want 5", n)
	}
}

func TestUnlistedTopicsShareOneLabel(t *testing.T) {
	for _, topic := range []Topic{"", "transfer_created", "Customer_created", OtherTopic} {
		if topic.Label() != OtherTopic || topic.Status() != "" || topic.NamesCustomer() {
			t.Errorf("%q has the label %q and the status %q", topic, topic.Label(), topic.Status())
		}
	}
}
