package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How many records of one message a second are logged.
const (
	maxRecords = 20
	maxDebug   = 1000 // below Info, which is looked at on purpose
)

// Sample returns a handler that passes at most so many records of one message a
// second on to next, and then says how many it has left out. Messages are
// constants, so there are few.
func Sample(next slog.Handler) slog.Handler {
	return &sampler{next: next, root: next, state: &samples{seconds: map[string]*second{}}}
}

// sampler is a slog.Handler; those made from it by WithAttrs and WithGroup
// share its state.
type sampler struct {
	next  slog.Handler
	root  slog.Handler // without attributes
	state *samples
}

type samples struct {
	mu sync.Mutex
	// Guarded by mu.
	seconds map[string]*second // by message
}

// second is what came of a message in the second that began with its first
// record.
type second struct {
	level   slog.Level
	records int
}

// Enabled asks the next handler.
func (s *sampler) Enabled(ctx context.Context, level slog.Level) bool {
	return s.next.Enabled(ctx, level)
}

// WithAttrs returns a handler with these attributes.
func (s *sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampler{s.next.WithAttrs(attrs), s.root, s.state}
}

// WithGroup returns a handler with this group.
func (s *sampler) WithGroup(name string) slog.Handler {
	return &sampler{s.next.WithGroup(name), s.root, s.state}
}

// Handle passes the record on, or counts it.
func (s *sampler) Handle(ctx context.Context, r slog.Record) error {
	if !s.admit(r) {
		return nil
	}
	return s.next.Handle(ctx, r)
}

func most(level slog.Level) int {
	if level < slog.LevelInfo {
		return maxDebug
	}
	return maxRecords
}

// admit reports whether the record is to be passed on.
func (s *sampler) admit(r slog.Record) bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	m := s.state.seconds[r.Message]
	if m == nil {
		m = &second{level: r.Level}
		s.state.seconds[r.Message] = m
		time.AfterFunc(time.Second, func() { s.end(r.Message) })
	}
	m.records++
	return m.records <= most(r.Level)
}

// end ends a message's second and says what was left out in it.
func (s *sampler) end(message string) {
	s.state.mu.Lock()
	m := s.state.seconds[message]
	delete(s.state.seconds, message)
	s.state.mu.Unlock()
	if left := m.records - most(m.level); left > 0 {
		r := slog.NewRecord(time.Now(), m.level, "log records left out", 0)
		r.AddAttrs(slog.String("message", message), slog.Int("records", left))
		_ = s.root.Handle(context.Background(), r) // as slog.Logger does
	}
}
