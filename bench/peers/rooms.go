package main

import (
	"net/url"
	"sync"
)

// rooms holds the members of every channel. It is for one goroutine; see
// shared for many.
type rooms[C any] struct {
	byChannel map[string]*room[C]
}

// room is one channel's members, in any order.
type room[C any] struct {
	channel string
	members []*member[C]
}

// member is a connection in its room.
type member[C any] struct {
	conn  C
	room  *room[C] // nil once it has left
	place int      // in room.members
}

// join makes conn a member of a channel.
func (r *rooms[C]) join(channel string, conn C) *member[C] {
	to := r.byChannel[channel]
	if to == nil {
		if r.byChannel == nil {
			r.byChannel = make(map[string]*room[C])
		}
		to = &room[C]{channel: channel}
		r.byChannel[channel] = to
	}
	m := &member[C]{conn: conn, room: to, place: len(to.members)}
	to.members = append(to.members, m)
	return m
}

// leave takes the member out of its room. The second call does nothing.
func (r *rooms[C]) leave(m *member[C]) {
	from := m.room
	if from == nil {
		return
	}
	last := len(from.members) - 1
	from.members[m.place] = from.members[last]
	from.members[m.place].place = m.place
	from.members[last] = nil
	from.members = from.members[:last]
	m.room = nil
	if last == 0 {
		delete(r.byChannel, from.channel)
	}
}

// publish calls deliver for every member of the sender's room but the sender.
// deliver may make its own member leave: from the end, what leave moves has had
// its turn.
func (r *rooms[C]) publish(from *member[C], deliver func(C)) {
	if from.room == nil {
		return
	}
	members := from.room.members
	for i := len(members) - 1; i >= 0; i-- {
		if m := members[i]; m != from {
			deliver(m.conn)
		}
	}
}

// shared is rooms for many goroutines. deliver must not call join or leave.
type shared[C any] struct {
	mu    sync.RWMutex
	rooms rooms[C] // guarded by mu
}

func (s *shared[C]) join(channel string, conn C) *member[C] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms.join(channel, conn)
}

func (s *shared[C]) leave(m *member[C]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms.leave(m)
}

func (s *shared[C]) publish(from *member[C], deliver func(C)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.rooms.publish(from, deliver)
}

// channelOf returns the channel that a request's target names.
func channelOf(target *url.URL) string {
	if channel := target.Query().Get("channel"); channel != "" {
		return channel
	}
	return target.Path
}
