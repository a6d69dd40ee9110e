package folder

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// DefaultEvery is how often a watched folder is looked at.
const DefaultEvery = time.Second

// Options say how a folder is followed.
type Options struct {
	Logger *slog.Logger
	// Every is the time between two looks; 0 means DefaultEvery.
	Every time.Duration
	// Reloaded, when set, is called after each look that found the folder
	// changed: with nil when its state was taken, with the reason when it was
	// refused and the last good one stays. It is for a metric.
	Reloaded func(err error)
}

// A Watched keeps what parse makes of a folder's files up to date. Its methods
// may be called from many goroutines.
type Watched[T any] struct {
	dir     string
	parse   func(Files) (T, error)
	options Options
	current atomic.Pointer[T]
	stop    context.CancelFunc
	stopped chan struct{}

	// Only follow, after Watch has returned, touches these.
	files   Files  // the last state that was looked at
	problem string // why it was refused; "" when it was taken
}

// Watch reads dir once, failing when the folder or its content is no good, and
// follows it from then on until Close.
func Watch[T any](dir string, parse func(Files) (T, error), options Options) (*Watched[T], error) {
	if options.Every == 0 {
		options.Every = DefaultEvery
	}
	files, err := Read(dir)
	if err != nil {
		return nil, err
	}
	first, err := parse(files)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &Watched[T]{
		dir: dir, parse: parse, options: options,
		stop: stop, stopped: make(chan struct{}), files: files,
	}
	w.current.Store(&first)
	go w.follow(ctx)
	return w, nil
}

// Get gives the last good state. Callers share it and must not change it.
func (w *Watched[T]) Get() T { return *w.current.Load() }

// Close ends the following and waits for that. Get goes on answering.
func (w *Watched[T]) Close() {
	w.stop()
	<-w.stopped
}

func (w *Watched[T]) follow(ctx context.Context) {
	defer close(w.stopped)
	ticker := time.NewTicker(w.options.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look()
		}
	}
}

// look takes a changed state. The same trouble is told once, not every second.
func (w *Watched[T]) look() {
	files, err := Read(w.dir)
	if err != nil {
		w.refuse(nil, err)
		return
	}
	if w.files != nil && files.equal(w.files) {
		return
	}
	state, err := w.parse(files)
	if err != nil {
		w.refuse(files, err)
		return
	}
	w.current.Store(&state)
	w.files, w.problem = files, ""
	w.options.Logger.Info("folder reloaded", "folder", w.dir, "files", files.Names())
	w.report(nil)
}

func (w *Watched[T]) refuse(files Files, err error) {
	w.files = files
	if err.Error() == w.problem {
		return
	}
	w.problem = err.Error()
	w.options.Logger.Error("folder changed to a state that is no good; the last good one stays",
		"folder", w.dir, "error", err)
	w.report(err)
}

func (w *Watched[T]) report(err error) {
	if w.options.Reloaded != nil {
		w.options.Reloaded(err)
	}
}
