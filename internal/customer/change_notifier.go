package customer

import (
	"slices"
	"sync"

	"dropgate/internal/clienttoken"
)

// ChangeNotifier passes changes this replica sees to the requests waiting for Dwolla.
// It implements clienttoken.Changes. It holds one watch per waiting request. A nil
// ChangeNotifier does nothing.
type ChangeNotifier struct {
	mu        sync.Mutex
	users     map[string][]*watch
	customers map[clienttoken.CustomerURL][]*watch
}

// NewChangeNotifier returns a notifier without watches.
func NewChangeNotifier() *ChangeNotifier {
	return &ChangeNotifier{users: map[string][]*watch{}, customers: map[clienttoken.CustomerURL][]*watch{}}
}

// watch collects what was observed about one user. ChangeNotifier.mu guards it.
type watch struct {
	notifier *ChangeNotifier
	userID   string
	observed []observation
}

// observation is what was observed about one Customer of the user, or about having
// none.
type observation struct {
	customer  clienttoken.CustomerURL
	status    clienttoken.CustomerStatus // an inactive status, or empty
	elsewhere bool                       // the Customer was linked to another user
	listed    bool                       // owners holds Dwolla's latest list
	owners    []clienttoken.BeneficialOwnerURL
}

// maxObservations bounds the Customers per watch. Two already contradict each other.
const maxObservations = 3

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
	for _, o := range w.observed {
		if o.customer != own {
			learnt.Moved = true
			continue
		}
		learnt.Status = o.status
		learnt.Moved = learnt.Moved || o.elsewhere
		learnt.OwnerGone = o.listed && !owner.IsZero() && !slices.Contains(o.owners, owner)
	}
	return learnt
}

// watches reports whether a request of the user waits for Dwolla.
func (n *ChangeNotifier) watches(userID string) bool {
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.users[userID]) > 0
}

// watchesCustomer reports whether a request with this Customer waits for Dwolla.
func (n *ChangeNotifier) watchesCustomer(customer clienttoken.CustomerURL) bool {
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.customers[customer]) > 0
}

// userHas reports the user's Customer. Pass the zero CustomerURL for none.
func (n *ChangeNotifier) userHas(userID string, customer clienttoken.CustomerURL) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.users[userID] {
		n.observe(w, customer)
	}
}

// linked reports a link of the Customer to the user, and so to no other user.
func (n *ChangeNotifier) linked(userID string, customer clienttoken.CustomerURL) {
	if n == nil {
		return
	}
	n.userHas(userID, customer)
	n.about(customer, func(w *watch, o *observation) { o.elsewhere = o.elsewhere || w.userID != userID })
}

// status reports a Customer's status. Only inactive ones matter.
func (n *ChangeNotifier) status(customer clienttoken.CustomerURL, status clienttoken.CustomerStatus) {
	if status.Inactive() {
		n.about(customer, func(_ *watch, o *observation) { o.status = status })
	}
}

// owners reports the list of a Customer's beneficial owners.
func (n *ChangeNotifier) owners(customer clienttoken.CustomerURL, owners []clienttoken.BeneficialOwnerURL) {
	n.about(customer, func(_ *watch, o *observation) { o.listed, o.owners = true, owners })
}

// about updates the observation of a Customer in every watch that has one.
func (n *ChangeNotifier) about(customer clienttoken.CustomerURL, note func(*watch, *observation)) {
	if n == nil || customer.IsZero() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.customers[customer] {
		for i := range w.observed {
			if w.observed[i].customer == customer {
				note(w, &w.observed[i])
			}
		}
	}
}

// observe records the Customer of w's user. The caller holds mu.
func (n *ChangeNotifier) observe(w *watch, customer clienttoken.CustomerURL) {
	known := slices.ContainsFunc(w.observed, func(o observation) bool { return o.customer == customer })
	if known || len(w.observed) == maxObservations {
		return
	}
	w.observed = append(w.observed, observation{customer: customer})
	if !customer.IsZero() {
		n.customers[customer] = append(n.customers[customer], w)
	}
}

// forget removes all observations of w. The caller holds mu.
func (n *ChangeNotifier) forget(w *watch) {
	for _, o := range w.observed {
		if !o.customer.IsZero() {
			remove(n.customers, o.customer, w)
		}
	}
	w.observed = nil
}

// remove removes w from the watches under key.
func remove[K comparable](from map[K][]*watch, key K, w *watch) {
	left := slices.DeleteFunc(from[key], func(other *watch) bool { return other == w })
	if len(left) == 0 {
		delete(from, key)
		return
	}
	from[key] = left
}
