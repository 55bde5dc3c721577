package rotation

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
)

const (
	// lookEvery is the time between two looks at the files. Looks are plainer than
	// file events, which miss the symbolic links that Kubernetes swaps.
	lookEvery = 2 * time.Second
	// longestPause bounds the time between two attempts to use the same content. A
	// new content does not wait.
	longestPause = time.Minute
	// useWithin bounds an attempt, which may ask another system.
	useWithin = 10 * time.Second
)

// File is a file with a secret.
type File struct {
	Setting string             // for logs and metrics
	InForce clienttoken.Secret // the content that is in force at the start
	// Read returns the content. An error names what is wrong, without the content.
	Read func() (clienttoken.Secret, error)
	// Use puts a new content into force. An error means that the old one still works.
	Use func(ctx context.Context, content clienttoken.Secret) error
}

// Watcher looks at files, and puts new contents into force. A content that cannot be
// used changes nothing: the watcher logs an error, counts it, and tries again.
type Watcher struct {
	log      zerolog.Logger
	failures *prometheus.CounterVec
	loaded   *prometheus.GaugeVec

	files []*watched
	now   chan struct{} // asks for a look
}

type watched struct {
	File

	inForce, seen [sha256.Size]byte
	failed        [sha256.Size]byte // the last content that could not be used
	fault         string            // its error, as logged
	tried         bool              // Use has failed since it last succeeded
	pause         time.Duration
	retryAt       time.Time
}

// Config configures a Watcher. All fields are required.
type Config struct {
	Files      []File
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// NewWatcher returns a watcher. It does not read the files yet.
func NewWatcher(c Config) *Watcher {
	w := &Watcher{
		log: c.Logger,
		now: make(chan struct{}, 1),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_secret_reload_failures_total",
			Help: "Attempts to use the new content of a secret's file that failed, by setting. The old value is in force.",
		}, []string{"setting"}),
		loaded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dropgate_secret_reload_timestamp_seconds",
			Help: "When the present value of a secret's file came into force, in seconds since 1970, by setting.",
		}, []string{"setting"}),
	}
	c.Registerer.MustRegister(w.failures, w.loaded)
	for _, f := range c.Files {
		now := sum(f.InForce)
		w.files = append(w.files, &watched{File: f, inForce: now, seen: now})
		w.failures.WithLabelValues(f.Setting)
		w.loaded.WithLabelValues(f.Setting).SetToCurrentTime()
	}
	return w
}

func sum(content clienttoken.Secret) [sha256.Size]byte {
	return sha256.Sum256([]byte(content.Reveal()))
}

// Run looks at the files until ctx ends. A new content comes into force at the second
// look that finds it: at the first one, its writer may be in the middle.
func (w *Watcher) Run(ctx context.Context) {
	if len(w.files) == 0 {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.look(ctx, (*watched).settled)
		case <-w.now:
			w.look(ctx, (*watched).complete)
		case <-ctx.Done():
			return
		}
	}
}

// Reload makes Run look at once, and take the files for complete.
func (w *Watcher) Reload() {
	select {
	case w.now <- struct{}{}:
	default: // a look is due anyway
	}
}

// complete ends the wait of a content that could not be used.
func (f *watched) complete([sha256.Size]byte) bool {
	f.retryAt = time.Time{}
	return true
}

// settled reports whether the last look found the same content.
func (f *watched) settled(content [sha256.Size]byte) bool {
	same := f.seen == content
	f.seen = content
	return same
}

// look reads each file, and uses its content if it is new and ready.
func (w *Watcher) look(ctx context.Context, ready func(*watched, [sha256.Size]byte) bool) {
	for _, f := range w.files {
		if ctx.Err() != nil {
			return
		}
		content, err := f.Read()
		now := sum(content)
		switch {
		case !ready(f, now):
		case err != nil:
			w.fail(f, err)
		case now == f.inForce && !f.tried:
			w.restored(f)
		case now != f.failed || !time.Now().Before(f.retryAt):
			w.use(ctx, f, content)
		}
	}
}

func (w *Watcher) use(ctx context.Context, f *watched, content clienttoken.Secret) {
	ctx, cancel := context.WithTimeout(ctx, useWithin)
	defer cancel()
	if err := f.Use(ctx, content); err != nil {
		if now := sum(content); f.failed != now {
			f.failed, f.pause = now, 0
		}
		f.tried = true
		f.pause = min(max(2*f.pause, lookEvery), longestPause)
		f.retryAt = time.Now().Add(f.pause)
		w.fail(f, err)
		return
	}
	f.inForce, f.fault, f.failed, f.tried = sum(content), "", [sha256.Size]byte{}, false
	w.loaded.WithLabelValues(f.Setting).SetToCurrentTime()
	w.log.Info().Str("setting", f.Setting).Msg("the value in the secret's file is in force")
}

// fail counts each failure, and logs each fault once.
func (w *Watcher) fail(f *watched, err error) {
	w.failures.WithLabelValues(f.Setting).Inc()
	if err.Error() == f.fault {
		return
	}
	f.fault = err.Error()
	w.log.Error().Str("setting", f.Setting).Err(err).Msg("the secret's file cannot be used; the old value stays in force")
}

// restored ends the fault of a file with its old content.
func (w *Watcher) restored(f *watched) {
	if f.fault != "" {
		w.log.Info().Str("setting", f.Setting).Msg("the secret's file has the value in force again")
	}
	f.fault = ""
}
