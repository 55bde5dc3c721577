package notice

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Notice says that something with this name has changed. Its two parts have at most
// maxText bytes together.
type Notice struct {
	Topic, Name string
}

// Config configures a Bus. All fields are required.
type Config struct {
	Client  redis.UniversalClient // the caller closes it
	Channel string                // the same for all replicas of a service, and no other's
	Secret  []byte                // the same for all replicas
	// Receive takes a notice of another replica. Missed means that any number of
	// notices may be missing, or that one cannot be read. Both must return soon.
	Receive func(Notice)
	Missed  func()

	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

const (
	// maxWaiting bounds the notices to send, maxText each of them, in bytes. Beyond
	// that, one notice stands for all.
	maxWaiting = 1024
	maxText    = 2 << 10

	sendWithin = time.Second     // timeout of sending a notice
	retryEvery = time.Second     // after a failure
	lastWords  = time.Second     // for notices left when the process ends
	silence    = 2 * time.Second // after it, and another one after a ping, the connection counts as broken
	// missedEvery bounds how often Missed is called.
	missedEvery = 250 * time.Millisecond
)

// Bus sends and receives notices. It is safe for concurrent use. A nil Bus sends
// nothing.
type Bus struct {
	config  Config
	sender  string
	seals   atomic.Pointer[[]sealer] // the first one seals, all of them open
	metrics metrics
	missed  chan struct{} // a call of Missed is due

	mu       sync.Mutex
	waiting  []Notice
	overflow bool          // some notices were dropped: others must learn that they miss some
	wake     chan struct{} // something waits
	// The last errors, or nil while notices come and go.
	listening, sending error
}

// New returns a bus. It connects in Run.
func New(c Config) *Bus {
	b := &Bus{
		config:  c,
		sender:  rand.Text(),
		metrics: newMetrics(c.Registerer),
		missed:  make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
	}
	b.Rotate(c.Secret)
	return b
}

// Rotate replaces the secret. Later notices are sent with the first one, and notices
// with any of them can be read. A nil Bus has none.
func (b *Bus) Rotate(secrets ...[]byte) {
	if b == nil {
		return
	}
	var seals []sealer
	for _, secret := range secrets {
		seals = append(seals, newSealer(secret, b.config.Channel, b.sender))
	}
	b.seals.Store(&seals)
}

// Fault returns why this replica does not get or send notices, or nil.
func (b *Bus) Fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listening != nil {
		return b.listening
	}
	return b.sending
}

// note remembers the state of one direction.
func (b *Bus) note(direction *error, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*direction = err
}

// Send sends a notice to all other replicas. It does not wait for it.
func (b *Bus) Send(n Notice) {
	if b == nil {
		return
	}
	b.mu.Lock()
	if len(b.waiting) >= maxWaiting || len(n.Topic)+len(n.Name) > maxText {
		b.overflow = true
	} else {
		b.waiting = append(b.waiting, n)
	}
	b.mu.Unlock()
	signal(b.wake)
}

// signal wakes the receiver of a channel with room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run sends and receives until ctx ends. Then it sends what is left.
func (b *Bus) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { b.send(ctx) })
	running.Go(func() { b.listen(ctx) })
	running.Go(func() { b.catchUp(ctx) })
	running.Wait()
}

// catchUp calls Missed, but not too often: a stranger with access to the channel
// could ask for it at any rate.
func (b *Bus) catchUp(ctx context.Context) {
	for {
		select {
		case <-b.missed:
			b.config.Missed()
		case <-ctx.Done():
			return
		}
		if !pause(ctx, missedEvery) {
			return
		}
	}
}

// pause waits, and reports false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
