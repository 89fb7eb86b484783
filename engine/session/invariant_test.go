package session

import (
	"maps"
	"slices"

	"signalbox/engine/presence"
	"signalbox/engine/registry"
)

// checkLoop holds a loop at the end of a turn against its invariants.
func (w *world) checkLoop(l *simLoop) {
	parts := map[*registry.Part]int{}
	open := 0
	for slot, s := range l.sessions {
		if s == nil {
			if l.due[slot] != 0 {
				w.fault("loop %d: slot %d is free and due", l.index, slot)
			}
			continue
		}
		open++
		if s.open && l.due[slot] == 0 {
			w.fault("loop %d: slot %d is never due", l.index, slot)
		}
		w.checkSubs(l, s, parts)
	}
	if open != l.open || open+len(l.free) != len(l.sessions) {
		w.fault("loop %d: %d sessions, %d counted, %d free of %d", l.index, open, l.open, len(l.free), len(l.sessions))
	}
	w.checkParts(l, parts)
	w.checkSlow(l)
}

// checkSlow holds the loop's list of slow readers against its sessions.
func (w *world) checkSlow(l *simLoop) {
	sum, listed := 0, 0
	for _, s := range l.sessions {
		if s == nil || s.under().weight == 0 {
			continue
		}
		listed++
		sum += s.busy.weight
		if p := s.busy.place; l.slow.list[p] != s || s.busy.weight > l.slow.list[max(p-1, 0)/2].busy.weight {
			w.fault("loop %d: slot %d is not at %d of the slow readers", l.index, s.slot, p)
		}
		if !s.open {
			w.fault("loop %d: slot %d is closed and a slow reader", l.index, s.slot)
		}
	}
	if listed != len(l.slow.list) || int64(sum) != l.slow.sum {
		w.fault("loop %d: %d slow readers with %d bytes, listed %d with %d", l.index, listed, sum, len(l.slow.list), l.slow.sum)
	}
	if listed > 0 && int64(l.slow.list[0].busy.weight) != l.slow.most.Load() {
		w.fault("loop %d: the slowest reader is not told", l.index)
	}
}

// checkSubs holds a session's subscriptions against the parts and groups they
// point into, and counts them by part.
func (w *world) checkSubs(l *simLoop, s *Session, parts map[*registry.Part]int) {
	awaits := 0
	for _, u := range s.subs {
		if u.group != nil {
			if got := u.group.Subs[u.index].Slot; got != s.slot {
				w.fault("loop %d: slot %d is at %d of %s, where %d is", l.index, s.slot, u.index, u.group.Glob, got)
			}
			continue
		}
		sub := u.part.Subs[u.index]
		if sub.Slot != s.slot {
			w.fault("loop %d: slot %d is at %d of %s, where %d is", l.index, s.slot, u.index, u.part.Name, sub.Slot)
		}
		counted := s.wildMeta(u.part.Name)
		if got, want := sub.Flags&registry.FlagMeta != 0, u.meta || counted > 0; s.open && (got != want || u.wildMeta != counted) {
			w.fault("loop %d: slot %d in %s: metadata flag %v, want %v, counted %d", l.index, s.slot, u.part.Name, got, want, u.wildMeta)
		}
		if sub.Flags&registry.FlagAwait != 0 {
			awaits++
		}
		parts[u.part]++
	}
	if int(s.await) != awaits {
		w.fault("loop %d: slot %d awaits %d snapshots, flagged %d", l.index, s.slot, s.await, awaits)
	}
}

// checkParts holds the parts of a loop against its lists of them.
func (w *world) checkParts(l *simLoop, parts map[*registry.Part]int) {
	deltas := 0
	for p, n := range parts {
		if len(p.Subs) != n {
			w.fault("loop %d: %s has %d subscribers, %d know it", l.index, p.Name, len(p.Subs), n)
		}
		watched := false
		for i := range p.Subs {
			watched = watched || p.Subs[i].Flags&registry.FlagPresence != 0
		}
		if watched != p.Watched() {
			w.fault("loop %d: %s watched %v, want %v", l.index, p.Name, p.Watched(), watched)
		}
		if watched && p.Replica == nil && !p.AtHome() {
			w.fault("loop %d: %s is watched and has no roster", l.index, p.Name)
		}
		if p.AtHome() && p.Roster == nil && len(p.Subs) != 1 {
			w.fault("loop %d: %s has %d subscribers and no roster", l.index, p.Name, len(p.Subs))
		}
		if !watched && p.Deltas.Len() > 0 {
			w.fault("loop %d: %s has deltas for nobody", l.index, p.Name)
		}
		if !p.Channel.Loops().Has(l.index) || p.Channel.Part(l.index) != p {
			w.fault("loop %d: %s does not know of the loop", l.index, p.Name)
		}
		deltas += p.Deltas.Len()
	}
	untold := 0
	for _, list := range l.untold {
		untold += len(list)
	}
	if untold != deltas {
		w.fault("loop %d: %d untold, %d deltas", l.index, untold, deltas)
	}
	dirty := map[*registry.Part]bool{}
	lines := slices.Concat(l.dirty.list[l.dirty.head:], l.dirtyDeltas.list[l.dirtyDeltas.head:])
	for _, p := range lines {
		if p.Out == nil || dirty[p] && p.Out.Lines != inFrames|inDeltas {
			w.fault("loop %d: %s is in the dirty lists too often or without need", l.index, p.Name)
		}
		dirty[p] = true
	}
	full := l.fullChannels()
	for p := range dirty {
		if at := slices.Index(full, p.Channel); p.Out.Full != (at >= 0) {
			w.fault("loop %d: %s is full %v, listed at %d", l.index, p.Name, p.Out.Full, at)
		} else if at >= 0 {
			full = slices.Delete(full, at, at+1)
		}
	}
	if len(full) > 0 {
		w.fault("loop %d: %d channels are listed as full and have nothing pending", l.index, len(full))
	}
	for p := range parts {
		if p.Out != nil && !dirty[p] {
			w.fault("loop %d: %s has frames pending and is not dirty", l.index, p.Name)
		}
	}
	if (len(lines) > 0 || l.casts.len()+l.corked.len()+l.gone.len()+l.parked.len() > 0 || l.inbox.done != l.inbox.posted.Load()) && !w.kind.parallel && !l.up.Load() {
		w.fault("loop %d: has work and no turn to come", l.index)
	}
}

// roster returns who is in the channel at rest, by the model.
func (w *world) roster(name string) map[string]bool {
	peers := w.members(name)
	for i, c := range w.crowd {
		if c.session.find([]byte(name)) >= 0 {
			peers[w.crowdPeer(i)] = true
		}
	}
	return peers
}

// checkRosters holds the rosters of a channel at rest, on a node, against the
// model.
func (w *world) checkRosters(node int, name string) {
	want := w.roster(name)
	loops := w.loops[node*w.kind.loops:][:w.kind.loops]
	ch := w.hubs[node].App("app_one").Space.Find(name)
	if ch == nil {
		if w.subscribed(node, name) {
			w.fault("%s is gone with %d members", name, len(want))
		}
		return
	}
	home := ch.Part(ch.Home())
	if home == nil {
		w.fault("%s has no home at rest", name)
		return
	}
	var replicas registry.Loops
	if home.Roster != nil {
		replicas = registry.Loops(home.Roster.Replicas)
	}
	at := peersOf(loops[ch.Home()].cut(home))
	for peer := range at {
		if !want[peer] {
			w.fault("%s: %s is in the roster", name, peer)
		}
	}
	if len(at) != len(want) || ch.Peers() != len(want) {
		w.fault("%s: %d in the roster, %d counted, want %d", name, len(at), ch.Peers(), len(want))
	}
	for i := range loops {
		p := ch.Part(i)
		if p == nil || !replicas.Has(i) {
			continue
		}
		if p.Replica == nil {
			w.fault("%s: loop %d is told and keeps no replica", name, i)
		} else if got := peersOf(p.Replica.Cut()); !maps.Equal(got, at) {
			w.fault("%s: loop %d has %v, home %v", name, i, got, at)
		}
	}
	for i := range loops {
		if p := ch.Part(i); p != nil && p.Watched() && i != ch.Home() && !replicas.Has(i) {
			w.fault("%s: loop %d watches and is not told", name, i)
		}
	}
}

// subscribed reports whether the node has a subscriber of the channel, by the
// model.
func (w *world) subscribed(node int, name string) bool {
	for _, c := range w.clients {
		if c.loop.node == node && c.histories[name].now() {
			return true
		}
	}
	for _, c := range w.crowd {
		if c.session.loop.hub == w.hubs[node] && c.session.find([]byte(name)) >= 0 {
			return true
		}
	}
	return false
}

// peersOf returns the peers of a roster with their metadata.
func peersOf(c presence.Cut) map[string]string {
	m := map[string]string{}
	c.Each(func(id, meta string) { m[id] = meta })
	return m
}

// checkEmpty reports what is left in a world that everybody has left.
func (w *world) checkEmpty() {
	for _, h := range w.hubs {
		w.checkEmptyHub(h)
	}
	w.checkEmptyLoops()
}

func (w *world) checkEmptyHub(h *Hub) {
	space := h.App("app_one").Space
	for _, name := range w.names {
		if space.Find(name) != nil {
			w.fault("channel %s is left", name)
		}
	}
	for _, peer := range w.peers {
		if n := len(space.Sockets([]byte(peer))); n > 0 {
			w.fault("%d sockets of %s are left", n, peer)
		}
	}
	if space.Wild() != 0 {
		w.fault("wildcard interest is left: %b", space.Wild())
	}
	if n := h.App("app_one").Quota.Usage(h.start).ConcurrentNow; n != 0 {
		w.fault("%d connections are counted", n)
	}
}

func (w *world) checkEmptyLoops() {
	for _, c := range w.clients {
		if s := c.session; s != nil && s.loop.session(s.ref()) == s {
			w.fault("%s is left: over %v, held %v, lost %v, %d bytes unread", c.name, c.over, s.held, s.lost, len(c.unread))
		}
	}
	for _, l := range w.loops {
		left := l.open + len(l.abroad.list) + len(l.abroad.of) + len(l.slow.list) + l.casts.len() + int(l.inbound.Load()) + l.dirty.len() + l.dirtyDeltas.len() + len(l.untold) + int(l.inbox.posted.Load()-l.inbox.done) + l.gone.len() + l.parked.len() + len(l.timers.queue) - 1 // the sweep
		for _, wild := range l.wild {
			for _, name := range w.names {
				wild.Match(name, func(*registry.Group) { left++ })
			}
		}
		if left != 0 {
			w.fault("loop %d: %d sessions, %d dirty, %d untold, %d timers, or a pattern left",
				l.index, l.open, l.dirty.len(), len(l.untold), len(l.timers.queue))
		}
	}
}
