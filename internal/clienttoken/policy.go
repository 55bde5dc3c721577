package clienttoken

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Allowed is the decision of a [Policy] for one user. The zero Allowed allows
// nothing.
type Allowed struct {
	// Rule names the deciding rule, for the log.
	Rule string

	actions map[Action]bool
}

// NewAllowed returns an Allowed with these actions. Dwolla documents two
// spellings of one action (see [ParseAction]): either of them allows both.
func NewAllowed(rule string, actions ...Action) Allowed {
	set := make(map[Action]bool, len(actions)+1)
	for _, a := range actions {
		set[a] = true
	}
	if set[ActionBeneficialOwnersDelete] || set[actionBeneficialOwnersDeleteAlternative] {
		set[ActionBeneficialOwnersDelete] = true
		set[actionBeneficialOwnersDeleteAlternative] = true
	}
	return Allowed{Rule: rule, actions: set}
}

// Allows reports whether the user may have tokens for action.
func (a Allowed) Allows(action Action) bool { return a.actions[action] }

// Actions lists the allowed actions in the order of [Actions].
func (a Allowed) Actions() []Action {
	return slices.DeleteFunc(Actions(), func(action Action) bool { return !a.Allows(action) })
}

// Components lists the drop-in components whose every action is allowed.
func (a Allowed) Components() []Component {
	return slices.DeleteFunc(Components(), func(c Component) bool {
		actions := c.Actions()
		return len(actions) == 0 ||
			slices.ContainsFunc(actions, func(action Action) bool { return !a.Allows(action) })
	})
}

// FixedPolicy is a [Policy] that allows every user the same actions. The zero
// FixedPolicy allows nothing.
type FixedPolicy struct{ allowed Allowed }

// For implements Policy.
func (p FixedPolicy) For(context.Context, User) (Allowed, error) { return p.allowed, nil }

// ParsePolicy reads the value of ALLOWED_ACTIONS: names of actions and
// components. A component stands for all of its actions. It reports every fault.
// An empty list is a fault.
//
// customer.transfers.send cannot be allowed: such a token moves money, and the
// browser would choose the amount and the destination.
func ParsePolicy(names []string) (FixedPolicy, error) {
	var allowed []Action
	var faults []error
	for _, name := range names {
		actions, err := actionsNamed(strings.TrimSpace(name))
		if err != nil {
			faults = append(faults, err)
		}
		allowed = append(allowed, actions...)
	}
	if len(names) == 0 {
		faults = append(faults, errors.New("name at least one action or component: otherwise nothing would be allowed"))
	}
	if err := errors.Join(faults...); err != nil {
		return FixedPolicy{}, err
	}
	return FixedPolicy{NewAllowed("ALLOWED_ACTIONS", allowed...)}, nil
}

// actionsNamed returns the actions of an action or component name.
func actionsNamed(name string) ([]Action, error) {
	var actions []Action
	if a, err := ParseAction(name); err == nil {
		actions = []Action{a}
	} else if c, err := ParseComponent(name); err == nil {
		actions = c.Actions()
	} else {
		return nil, fmt.Errorf("%.100q is neither an action (%s) nor a component (%s)",
			name, commaSeparated(Actions()), commaSeparated(Components()))
	}
	switch {
	case len(actions) == 0:
		return nil, fmt.Errorf("%s cannot be allowed: Dwolla does not document its actions", name)
	case slices.Contains(actions, ActionCustomerTransfersSend):
		return nil, fmt.Errorf("%s cannot be allowed: %s moves money, and a browser must not choose the amount and destination of a payment",
			name, ActionCustomerTransfersSend)
	}
	return actions, nil
}

func commaSeparated[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
