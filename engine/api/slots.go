package api

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// slots bounds the connections that are open at a time, over all doors.
type slots struct {
	// Guarded by mu.
	mu    sync.Mutex
	taken int
	idle  list.List // of *conn, those that wait for a further request, idle longest first
}

// take gives c a slot, or reports false if all are taken and none is idle. If all
// are taken, it is that of the connection that has been idle longest, whose own
// goroutine closes it. It does not block.
func (s *slots) take(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken < maxConns:
		s.taken++
	case s.idle.Len() > 0:
		s.evict(s.idle.Front().Value.(*conn))
	default:
		return false
	}
	c.placed = true
	return true
}

// evict takes c's slot from it and ends the read that it waits in. With mu: once
// c is no longer idle it may be handed back, and its deadline is another's.
func (s *slots) evict(c *conn) {
	s.unlist(c)
	c.placed = false
	c.evicted.Store(true)
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // fails if it is closed already
}

// free takes c's slot back, if it has one.
func (s *slots) free(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlist(c)
	if c.placed {
		c.placed = false
		s.taken--
	}
}

// follow is told of each change of a connection's state, by the goroutine that serves
// it: http.Server.ConnState.
func (s *slots) follow(nc net.Conn, state http.ConnState) {
	c := nc.(*conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlist(c)
	switch {
	case state == http.StateIdle && c.placed:
		c.waiting = s.idle.PushBack(c)
	case state == http.StateActive && !c.placed:
		// The request had come when its slot was taken: it is read to its end.
		c.last = true
		c.evicted.Store(false)
		_ = c.Conn.SetReadDeadline(time.Time{}) // fails if it is closed already
	}
}

// unlist takes c out of the idle ones, if it is there. With mu.
func (s *slots) unlist(c *conn) {
	if c.waiting != nil {
		s.idle.Remove(c.waiting)
		c.waiting = nil
	}
}
