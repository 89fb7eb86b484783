package engine

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"signalbox/engine/auth"
)

// sentContext is done when something is sent on its channel, and whoever sends
// knows that Run has seen it.
type sentContext struct {
	context.Context
	doneC chan struct{}
}

func (c sentContext) Done() <-chan struct{} { return c.doneC }

// TestEndDuringUpgrade: the server is told to end while an upgrade is under way,
// and drains as what comes of that wants it.
func TestEndDuringUpgrade(t *testing.T) {
	for name, superseded := range map[string]bool{"the successor serves": true, "the upgrade fails": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, _, _, _ := auth.Template("app_one")
			keys, err := auth.Parse("apps.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			cfg := DefaultConfig()
			cfg.Listen, cfg.Loops, cfg.Apps, cfg.Logger, cfg.DrainTimeout = "127.0.0.1:0", 1, keys, slog.New(slog.DiscardHandler), 0
			s, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx := sentContext{context.Background(), make(chan struct{})}
			endC := make(chan error, 1)
			go func() { endC <- s.Run(ctx) }()
			<-s.Ready()
			s.upgradeMu.Lock()
			ctx.doneC <- struct{}{}
			if superseded {
				close(s.supersededC)
			}
			s.upgradeMu.Unlock()
			select {
			case err := <-endC:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("the server does not end")
			}
			drained := false
			select {
			case <-s.Draining():
				drained = true
			default:
			}
			if drained == superseded {
				t.Errorf("drained as if no successor served: got %v, want %v", drained, !superseded)
			}
			if s.serving.Load() != superseded {
				t.Errorf("ready for traffic: got %v, want %v", !superseded, superseded)
			}
		})
	}
}
