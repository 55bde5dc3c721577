package emulator

// Operations are all operations of the route table, and whether a client token may
// call them.
func (e *Emulator) Operations() map[Operation]bool {
	all := map[Operation]bool{}
	for _, methods := range e.routes {
		for _, endpoint := range methods {
			all[endpoint.op] = endpoint.action != "" || endpoint.actionOf != nil
		}
	}
	return all
}
