package clustertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// picture is what a client knows of a channel's roster.
type picture struct {
	whole bool            // the snapshot has come
	here  map[string]bool // other peers
	told  []string        // joins and leaves after the snapshot, as +peer and -peer
}

// subscription returns the channel that an ack's requestId is of; see watch.
func subscription(id string) (string, bool) { return strings.CutPrefix(id, "watch ") }

// watch subscribes to channels and follows their presence.
func (c *client) watch(channels ...string) *client {
	c.t.Helper()
	for _, channel := range channels {
		if err := c.tryWatch(channel); err != nil {
			c.t.Fatalf("%s on %s subscribes to %s: %v", c.peer, c.node.name, channel, err)
		}
	}
	c.since = now()
	return c
}

// tryWatch is watch on any goroutine; it returns once the snapshot is there.
func (c *client) tryWatch(channel string) error {
	if err := c.say(fmt.Sprintf(`{"type":"subscribe","channel":%q,"requestId":%q}`, channel, "watch "+channel)); err != nil {
		return err
	}
	return c.until(patience, func() bool { p := c.pictures[channel]; return p != nil && p.whole })
}

// look follows presence: called for each frame, in their order.
func (c *client) look(f *frame) {
	if channel, ok := subscription(f.RequestID); ok && f.Type == "ack" {
		c.pictures[channel] = &picture{here: make(map[string]bool)}
		return
	}
	p := c.pictures[f.Channel]
	switch {
	case p == nil:
	case f.Type == "presence":
		p.change(c, f)
	case f.Type == "message":
		p.hear(c, f)
	}
}

// hear follows a message: a member who speaks must be there. One who was about to go
// may be missing from a snapshot that left together with the message.
func (p *picture) hear(c *client, f *frame) {
	var u utterance
	if json.Unmarshal(f.Data, &u) != nil || !u.Member || f.From == c.peer || p.here[f.From] {
		return
	}
	if u.Leaving && !slices.Contains(p.told, "-"+f.From) {
		return
	}
	c.lie("%s: message %d of %s, who is not there, but %s, after %s", f.Channel, u.Number, f.From, names(p.here), p.told)
}

func (c *client) lie(format string, args ...any) {
	c.lies = append(c.lies, fmt.Sprintf(format, args...))
}

// change follows a presence frame: the first is the snapshot.
func (p *picture) change(c *client, f *frame) {
	touched := make(map[string]bool)
	for _, peer := range f.Joined {
		id := peer.PeerID
		if p.here[id] || touched[id] || id == c.peer {
			c.lie("%s: join of %s, who is there, after %s", f.Channel, id, p.told)
		}
		p.here[id], touched[id] = true, true
		if p.whole {
			p.told = append(p.told, "+"+id)
		}
	}
	for _, peer := range f.Left {
		id := peer.PeerID
		if !p.here[id] || touched[id] {
			c.lie("%s: leave of %s, who is not there, after %s", f.Channel, id, p.told)
		}
		touched[id] = true
		delete(p.here, id)
		p.told = append(p.told, "-"+id)
	}
	p.whole = true
}

// sees waits until the client's picture of the channel is of these peers.
func (c *client) sees(within time.Duration, channel string, peers ...string) {
	c.t.Helper()
	want := make(map[string]bool)
	for _, id := range peers {
		if id != c.peer {
			want[id] = true
		}
	}
	err := c.until(within, func() bool { p := c.pictures[channel]; return p != nil && p.whole && maps.Equal(p.here, want) })
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		p := c.pictures[channel]
		c.t.Fatalf("%s on %s sees in %s %s, want %s: %v after %v; told %s", c.peer, c.node.name, channel,
			names(p.here), names(want), err, within, p.told)
	}
}

// told are the joins and leaves that the client has been told after the snapshot.
func (c *client) told(channel string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pictures[channel].told)
}

func names(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// roster are the distinct peers of connections.
func roster(clients ...[]*client) []string {
	set := make(map[string]bool)
	for _, c := range slices.Concat(clients...) {
		set[c.peer] = true
	}
	return names(set)
}

// allSee waits until every client's picture is of the peers of all of them.
func allSee(within time.Duration, channel string, clients []*client) {
	deadline := now().Add(within)
	for _, c := range clients {
		c.t.Helper()
		c.sees(till(deadline), channel, roster(clients)...)
	}
}

// wantTruth fails for every lie that the clients have been told.
func wantTruth(t testing.TB, clients ...[]*client) {
	t.Helper()
	for _, c := range slices.Concat(clients...) {
		c.mu.Lock()
		for _, lie := range c.lies[:min(len(c.lies), 5)] {
			t.Errorf("lie to %s on %s: %s", c.peer, c.node.name, lie)
		}
		c.mu.Unlock()
	}
}
