package engine

import (
	"context"
	"time"

	"signalbox/engine/auth"
	"signalbox/engine/cluster"
)

// joinCluster returns the bus to the other nodes, if there are to be any. None of
// it runs in a server that stands alone.
func (s *Server) joinCluster(keys *auth.Set) (cluster.Bus, error) {
	if s.cfg.Cluster == nil {
		return cluster.Local{}, nil
	}
	for _, a := range keys.Apps() {
		s.ledger.App(a.ID) // so that what the others tell of it while joining is taken
	}
	c := *s.cfg.Cluster
	c.MaxMessageSize, c.Ledger, c.Logger, c.Version = s.cfg.Limits.MaxMessageSize, s.ledger, s.log, s.cfg.Version
	c.Connections = s.sockets
	c.Embedded.Held = s.cfg.Predecessor != nil
	bus, err := cluster.Join(context.Background(), c)
	if err != nil {
		return nil, err
	}
	s.bus = bus
	return bus, nil
}

// sockets returns how many sockets are open; any goroutine.
func (s *Server) sockets() int {
	select {
	case <-s.readyC:
		return s.reactor.Conns()
	default:
		return 0
	}
}

// leaveTime is how long leaving the cluster may take.
const leaveTime = 5 * time.Second

// leaveCluster tells the other nodes that this one has no session any more. What
// they have said last waits for the loops, which may have ended by themselves.
func (s *Server) leaveCluster() {
	if s.bus == nil {
		return
	}
	leftC := make(chan struct{})
	go func() {
		defer close(leftC)
		s.bus.Close()
	}()
	select {
	case <-leftC:
	case <-time.After(leaveTime):
		s.log.Error("the other nodes may not have been told that this one ends")
	}
}

// clusterStats returns how the cluster is, nil if the server stands alone.
func (s *Server) clusterStats() *cluster.Stats {
	if s.bus == nil {
		return nil
	}
	stats := s.bus.Stats()
	return &stats
}
