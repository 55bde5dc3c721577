package customer

import (
	"slices"
	"sync"

	"dropgate/internal/clienttoken"
)

// ChangeNotifier passes on what this replica learns to the requests that wait for Dwolla. It
// implements clienttoken.Changes. There is one watch for each such request, so it
// is bounded by the number of requests under way. The nil News passes nothing on.
type ChangeNotifier struct {
	mu        sync.Mutex
	users     map[string][]*watch
	customers map[clienttoken.CustomerURL][]*watch
}

// NewChangeNotifier returns the News of a directory.
func NewChangeNotifier() *ChangeNotifier {
	return &ChangeNotifier{users: map[string][]*watch{}, customers: map[clienttoken.CustomerURL][]*watch{}}
}

// watch is what was learnt of one user. News guards it.
type watch struct {
	notifier *ChangeNotifier
	userID   string
	heard    []heard
}

// heard is what was learnt of one Customer that the user has had, or of having none.
type heard struct {
	customer  clienttoken.CustomerURL
	status    clienttoken.CustomerStatus // one that gets no tokens, or empty
	elsewhere bool                       // another user got it
	listed    bool                       // owners is Dwolla's latest list
	owners    []clienttoken.BeneficialOwnerURL
}

// maxHeard is how many Customers a watch tells apart. Two contradict each other
// already.
const maxHeard = 3

// Watch implements clienttoken.Changes.
func (n *ChangeNotifier) Watch(userID string) clienttoken.Watch {
	w := &watch{notifier: n, userID: userID}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.users[userID] = append(n.users[userID], w)
	return w
}

// Restart implements clienttoken.Watch.
func (w *watch) Restart() {
	w.notifier.mu.Lock()
	defer w.notifier.mu.Unlock()
	w.notifier.forget(w)
}

// End implements clienttoken.Watch.
func (w *watch) End() {
	w.notifier.mu.Lock()
	defer w.notifier.mu.Unlock()
	w.notifier.forget(w)
	remove(w.notifier.users, w.userID, w)
}

// Learnt implements clienttoken.Watch.
func (w *watch) Learnt(own clienttoken.CustomerURL, owner clienttoken.BeneficialOwnerURL) clienttoken.Learnt {
	w.notifier.mu.Lock()
	defer w.notifier.mu.Unlock()
	var learnt clienttoken.Learnt
	for _, h := range w.heard {
		if h.customer != own {
			learnt.Moved = true
			continue
		}
		learnt.Status = h.status
		learnt.Moved = learnt.Moved || h.elsewhere
		learnt.OwnerGone = h.listed && !owner.IsZero() && !slices.Contains(h.owners, owner)
	}
	return learnt
}

// Of says that the user has that Customer; the zero CustomerURL: none.
func (n *ChangeNotifier) UserHas(userID string, customer clienttoken.CustomerURL) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.users[userID] {
		n.hear(w, customer)
	}
}

// Linked says that the Customer became the user's own, and so nobody else's.
func (n *ChangeNotifier) Linked(userID string, customer clienttoken.CustomerURL) {
	if n == nil {
		return
	}
	n.UserHas(userID, customer)
	n.about(customer, func(w *watch, h *heard) { h.elsewhere = h.elsewhere || w.userID != userID })
}

// Status says what state a Customer is in.
func (n *ChangeNotifier) Status(customer clienttoken.CustomerURL, status clienttoken.CustomerStatus) {
	if status.Inactive() {
		n.about(customer, func(_ *watch, h *heard) { h.status = status })
	}
}

// Owners says who a Customer's beneficial owners are.
func (n *ChangeNotifier) Owners(customer clienttoken.CustomerURL, owners []clienttoken.BeneficialOwnerURL) {
	n.about(customer, func(_ *watch, h *heard) { h.listed, h.owners = true, owners })
}

// about notes something of a Customer for all who wait for a token for it.
func (n *ChangeNotifier) about(customer clienttoken.CustomerURL, note func(*watch, *heard)) {
	if n == nil || customer.IsZero() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.customers[customer] {
		for i := range w.heard {
			if w.heard[i].customer == customer {
				note(w, &w.heard[i])
			}
		}
	}
}

// hear notes that w's user has that Customer. The caller holds mu.
func (n *ChangeNotifier) hear(w *watch, customer clienttoken.CustomerURL) {
	known := slices.ContainsFunc(w.heard, func(h heard) bool { return h.customer == customer })
	if known || len(w.heard) == maxHeard {
		return
	}
	w.heard = append(w.heard, heard{customer: customer})
	if !customer.IsZero() {
		n.customers[customer] = append(n.customers[customer], w)
	}
}

// forget makes w one that has heard nothing. The caller holds mu.
func (n *ChangeNotifier) forget(w *watch) {
	for _, h := range w.heard {
		if !h.customer.IsZero() {
			remove(n.customers, h.customer, w)
		}
	}
	w.heard = nil
}

// remove takes w from those under key.
func remove[K comparable](from map[K][]*watch, key K, w *watch) {
	left := slices.DeleteFunc(from[key], func(other *watch) bool { return other == w })
	if len(left) == 0 {
		delete(from, key)
		return
	}
	from[key] = left
}
