package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
)

// lifecycle turns the process's signals into what a server can be told: to
// drain, to reload, to log more or less, to be replaced, to end at once. It listens
// from its creation on, so that a signal during start-up is not lost.
type lifecycle struct {
	ctx      context.Context // Done at the first SIGTERM or SIGINT.
	cancel   context.CancelFunc
	endC     chan os.Signal
	reloadC  chan os.Signal
	levelC   chan os.Signal
	upgradeC chan os.Signal
}

// newLifecycle begins to listen. abort ends the process; it is called at the
// second SIGTERM or SIGINT, whatever the drain is waiting for.
func newLifecycle(abort func()) *lifecycle {
	l := &lifecycle{
		endC: make(chan os.Signal, 2), reloadC: make(chan os.Signal, 1),
		levelC: make(chan os.Signal, 1), upgradeC: make(chan os.Signal, 1),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	signal.Notify(l.endC, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(l.reloadC, syscall.SIGHUP)
	signal.Notify(l.levelC, syscall.SIGUSR1)
	signal.Notify(l.upgradeC, syscall.SIGUSR2)
	go func() {
		<-l.endC
		l.cancel()
		<-l.endC
		abort()
	}()
	return l
}

// tellReady tells systemd, if that has started the process or one before it, that
// the server serves, and which process it is now.
func (l *lifecycle) tellReady(logger *slog.Logger) {
	tellManager(logger, daemon.SdNotifyReady+"\nMAINPID="+strconv.Itoa(os.Getpid()))
}

// tellStopping tells systemd that the service ends.
func tellStopping(logger *slog.Logger) { tellManager(logger, daemon.SdNotifyStopping) }

func tellManager(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("systemd could not be told", "state", state, "error", err)
	}
}

// upgradeOnSignal calls upgrade for each SIGUSR2 until the drain begins, also while
// an upgrade is under way, which upgrade is to refuse. One that fails changes
// nothing, so the server goes on.
func (l *lifecycle) upgradeOnSignal(upgrade func(context.Context) error, logger *slog.Logger) {
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.upgradeC:
			go func() {
				if err := upgrade(l.ctx); err != nil {
					logger.Error("not upgraded, this process stays", "error", err)
				}
			}()
		}
	}
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
