package clienttoken

// Bytes estimates the memory referenced by u, in bytes. It leaves out claim
// names, because all users share them.
func (u User) Bytes() int {
	const header = 16 // of each string
	size := mapBytes(len(u.Claims)) + header + len(u.ID)
	for _, value := range u.Claims {
		size += header + ClaimBytes(value)
	}
	return size
}

// ClaimBytes estimates the memory referenced by a decoded JSON value, in bytes.
func ClaimBytes(value any) int {
	const boxed = 16
	switch value := value.(type) {
	case string:
		return len(value)
	case []any:
		size := 0
		for _, element := range value {
			size += boxed + ClaimBytes(element)
		}
		return size
	case map[string]any:
		size := mapBytes(len(value))
		for name, member := range value {
			size += len(name) + ClaimBytes(member)
		}
		return size
	}
	return boxed
}

// mapBytes estimates the memory of a map of claims: 400 bytes hold eight members,
// and a larger map may be half empty.
func mapBytes(members int) int { return 400 + 80*max(members-8, 0) }
