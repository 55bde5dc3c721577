package emulator

// boundedMap keeps at most limit keys and evicts the oldest key first. It bounds
// the memory of benchmarks with millions of tokens.
type boundedMap[V any] struct {
	limit  int
	values map[string]V
	keys   []string // in order of arrival from next on, wrapping around
	next   int      // the oldest key once keys is full, 0 until then
}

func newBoundedMap[V any](limit int) *boundedMap[V] {
	return &boundedMap[V]{limit: limit, values: map[string]V{}}
}

// put stores v. An existing key keeps its place in the order.
func (f *boundedMap[V]) put(key string, v V) {
	if _, exists := f.values[key]; !exists {
		f.push(key)
	}
	f.values[key] = v
}

func (f *boundedMap[V]) push(key string) {
	if len(f.keys) < f.limit {
		f.keys = append(f.keys, key)
		return
	}
	delete(f.values, f.keys[f.next])
	f.keys[f.next] = key
	f.next = (f.next + 1) % f.limit
}

// get returns the value of key and whether it is present.
func (f *boundedMap[V]) get(key string) (V, bool) {
	v, ok := f.values[key]
	return v, ok
}

// oldestFirst returns the keys in order of arrival.
func (f *boundedMap[V]) oldestFirst() []string {
	return append(append(make([]string, 0, len(f.keys)), f.keys[f.next:]...), f.keys[:f.next]...)
}

// clear removes all keys.
func (f *boundedMap[V]) clear() {
	f.values, f.keys, f.next = map[string]V{}, nil, 0
}
