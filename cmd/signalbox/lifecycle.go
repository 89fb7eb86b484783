package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
)

// lifecycle turns the process's signals into what a server can be told: to
// drain, to reload, to log more or less, to end at once. It listens from its creation on, so that a
// signal during start-up is not lost.
type lifecycle struct {
	ctx     context.Context // Done at the first SIGTERM or SIGINT.
	cancel  context.CancelFunc
	endC    chan os.Signal
	reloadC chan os.Signal
	levelC  chan os.Signal
}

// newLifecycle begins to listen. abort ends the process; it is called at the
// second SIGTERM or SIGINT, whatever the drain is waiting for.
func newLifecycle(abort func()) *lifecycle {
	l := &lifecycle{endC: make(chan os.Signal, 2), reloadC: make(chan os.Signal, 1), levelC: make(chan os.Signal, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	signal.Notify(l.endC, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(l.reloadC, syscall.SIGHUP)
	signal.Notify(l.levelC, syscall.SIGUSR1)
	go func() {
		<-l.endC
		l.cancel()
		<-l.endC
		abort()
	}()
	return l
}

// tellManager tells systemd, if that has started the process, that the server
// serves, and later that it drains.
func (l *lifecycle) tellManager(logger *slog.Logger) {
	notify := func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			logger.Warn("systemd could not be told", "state", state, "error", err)
		}
	}
	notify(daemon.SdNotifyReady)
	<-l.ctx.Done()
	notify(daemon.SdNotifyStopping)
}

// reloadOnHangup calls reload for each SIGHUP until the drain begins. A reload
// that fails changes nothing, so the server goes on.
func (l *lifecycle) reloadOnHangup(reload func() error, logger *slog.Logger) {
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.reloadC:
			if err := reload(); err != nil {
				logger.Error("apps not read, the old ones stay in force", "error", err)
			}
		}
	}
}
