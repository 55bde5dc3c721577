package clienttoken

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Policy says which actions are allowed. The zero Policy allows nothing.
type Policy struct {
	allowed map[Action]bool
}

// ParsePolicy makes a policy that allows all users the named actions; the name
// of a component stands for all of its actions. Every fault is reported, and
// an empty list is one: a service that allows nothing serves nobody.
//
// customer.transfers.send cannot be allowed: such a token moves money, and its
// amount and destination would come from the browser.
func ParsePolicy(names []string) (Policy, error) {
	p := Policy{allowed: map[Action]bool{}}
	var faults []error
	for _, name := range names {
		actions, err := actionsNamed(strings.TrimSpace(name))
		if err != nil {
			faults = append(faults, err)
		}
		for _, a := range actions {
			p.allowed[a] = true
		}
	}
	if len(names) == 0 {
		faults = append(faults, errors.New("no action or component is named, so nothing would be allowed"))
	}
	if err := errors.Join(faults...); err != nil {
		return Policy{}, err
	}
	// One action, two documented spellings (see ParseAction).
	if p.allowed[ActionBeneficialOwnersDelete] || p.allowed[actionBeneficialOwnersDeleteAlternative] {
		p.allowed[ActionBeneficialOwnersDelete] = true
		p.allowed[actionBeneficialOwnersDeleteAlternative] = true
	}
	return p, nil
}

// actionsNamed returns the actions that one word of a policy stands for.
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
		return nil, fmt.Errorf("%s cannot be allowed: %s moves money, and a payment's amount and destination must not come from a browser",
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

// Allows reports whether user may have tokens for action. What was not allowed
// explicitly is not allowed. The answer is the same for every user until rules
// by claim exist.
func (p Policy) Allows(_ User, action Action) bool { return p.allowed[action] }

// Actions lists what user may have tokens for, in the order of [Actions].
func (p Policy) Actions(user User) []Action {
	return slices.DeleteFunc(Actions(), func(a Action) bool { return !p.Allows(user, a) })
}

// Components lists the drop-in components whose every action user may have
// tokens for.
func (p Policy) Components(user User) []Component {
	return slices.DeleteFunc(Components(), func(c Component) bool {
		actions := c.Actions()
		return len(actions) == 0 ||
			slices.ContainsFunc(actions, func(a Action) bool { return !p.Allows(user, a) })
	})
}
