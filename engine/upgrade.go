package engine

import (
	"context"
	"errors"
	"os"
	"time"

	"signalbox/engine/handover"
)

var (
	errUpgrading   = errors.New("an upgrade is under way")
	errPredecessor = errors.New("the process before this one has not ended yet")
	errContainer   = errors.New("this is the first process of its container, which would end with it")
	errNoAppsFile  = errors.New("keys that are in memory only cannot be passed on")
)

// Upgrade starts the program anew, as it is on the disk now, and returns when the
// new process serves: Run then drains and returns. On an error all is as before.
// Any goroutine; an upgrade while one is under way is an error. When Run's ctx is
// done, ctx is to be done, too: Run waits for what comes of the upgrade.
func (s *Server) Upgrade(ctx context.Context) error {
	if !s.upgradeMu.TryLock() {
		return errUpgrading
	}
	defer s.upgradeMu.Unlock()
	select {
	case <-s.supersededC:
		return errUpgrading
	default:
	}
	switch {
	case !s.serving.Load():
		return errNotReady
	case os.Getpid() == 1: // the kernel kills all of a PID namespace with its first process
		return errContainer
	case s.cfg.AppsFile == "":
		return errNoAppsFile
	case s.cfg.Predecessor != nil:
		select {
		case <-s.takenC:
		default:
			return errPredecessor
		}
	}
	// The successor's sockets must get nothing before it serves.
	if err := s.reactor.KeepConnects(); err != nil {
		return err
	}
	s.log.Info("starting the successor")
	successor, err := handover.Start(ctx, handover.Offer{Addr: s.Addr().String(), Sockets: s.cfg.Loops}, s.listeners)
	if err != nil {
		_ = s.reactor.ShareConnects() // fails if this server ends; else all come to it as well
		return err
	}
	s.successor = successor
	s.log.Info("the successor serves", "pid", successor.PID)
	close(s.supersededC)
	return nil
}

// endsAlone is called when the server is to end. It reports whether no successor
// serves, which one may have begun to at that very moment; none will any more.
func (s *Server) endsAlone() bool {
	s.upgradeMu.Lock()
	defer s.upgradeMu.Unlock()
	select {
	case <-s.supersededC:
		return false
	default:
		s.serving.Store(false)
		return true
	}
}

// stragglerTime is how long connections may still come whose handshakes had begun
// when the successor took over: a lost packet is sent again after a second.
const stragglerTime = 1500 * time.Millisecond

// leave drains the server while its successor serves. Who still comes, because the
// kernel had already given the connection to this process, is let in and sent
// on to the successor.
func (s *Server) leave() {
	if s.unixLn != nil {
		s.unixLn.SetUnlinkOnClose(false)
	}
	for _, ln := range s.listeners {
		_ = ln.Close() // the successor has the socket
	}
	s.sidecar.Leave()
	time.Sleep(stragglerTime)
	s.evict()
	if err := s.reactor.CedeConnects(); err != nil {
		s.log.Warn("connects may fail now", "error", err)
	}
}

// takeConnects has new connections come to this process, which is a successor and
// can serve them.
func (s *Server) takeConnects() bool {
	if s.cfg.Predecessor == nil {
		return true
	}
	if s.startErr = s.reactor.TakeConnects(); s.startErr != nil {
		go s.reactor.Stop() // which waits for whom it has called this
		return false
	}
	return true
}

const (
	// attachAgain is how long after a failure the data directory is tried again,
	attachAgain = 100 * time.Millisecond
	// and attachTold after how many failures that is logged.
	attachTold = 20
	// attachPatience is how long a server that ends waits for its predecessor,
	// beyond the time that a drain may take.
	attachPatience = 5 * time.Second
)

// takeOver waits until the predecessor has ended and takes what it had to itself.
func (s *Server) takeOver(ctx context.Context) {
	taken := s.inherit(ctx)
	if taken && s.bus != nil {
		if err := s.bus.TakeRoutes(); err != nil {
			s.log.Error("nodes that start from now on cannot make routes to this one", "error", err)
		}
	}
	close(s.takenC)
	if taken { // who reads it may have this process replaced at once
		s.log.Info("the process before this one has ended")
	}
}

// inherit is takeOver, but for telling. It reports whether all was taken.
func (s *Server) inherit(ctx context.Context) bool {
	select {
	case <-s.cfg.Predecessor.Gone():
	case <-ctx.Done():
		s.log.Error("the process before this one has not ended: what was counted since is lost")
		return false
	}
	select {
	case <-s.readyC:
		if err := s.reactor.ShareConnects(); err != nil {
			s.log.Warn("new connections may be spread unevenly", "error", err)
		}
	default: // it ended before; nothing leads past this process
	}
	for failures := 1; ; failures++ {
		err := s.attach()
		if err == nil {
			return true
		}
		if failures == attachTold {
			s.log.Error("the data directory cannot be taken over; counting in memory and trying again", "error", err)
		}
		select {
		case <-time.After(attachAgain):
		case <-ctx.Done():
			s.log.Error("the data directory was not taken over: what was counted is lost", "error", err)
			return false
		}
	}
}

// attach opens what the predecessor has held, as far as it is not open yet.
func (s *Server) attach() error {
	if !s.ledgerOpen {
		if err := s.ledger.Attach(); err != nil {
			return err
		}
		s.ledgerOpen = true
	}
	return s.hooks.Attach()
}

// awaitTakeOver gives the predecessor the time to end, when this server does.
func (s *Server) awaitTakeOver() {
	if s.cfg.Predecessor == nil {
		return
	}
	select {
	case <-s.takenC:
	case <-time.After(s.cfg.DrainTimeout + attachPatience):
	}
}
