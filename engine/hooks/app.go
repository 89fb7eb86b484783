package hooks

import (
	"sync/atomic"

	"signalbox/engine/auth"
)

// App hears the events of one app. It is a registry.Events, and stays the same over
// reloads.
type App struct {
	// Immutable.
	id    string
	inbox *inbox

	// Any goroutine (atomic).
	wants atomic.Uint32 // the kinds that any of its webhooks wants, auth.Events

	// Guarded by inbox.mu.
	dropped int64 // events that the inbox had no room for and no queue knows of
}

// Online tells that a peer's first socket is there.
func (a *App) Online(peer string) { a.tell(auth.PeerOnline, "", peer, "") }

// Offline tells that a peer's last socket is gone.
func (a *App) Offline(peer string) { a.tell(auth.PeerOffline, "", peer, "") }

// Joined tells that a peer has joined a channel, which has so many peers now.
func (a *App) Joined(channel, peer, meta string, peers int) {
	if a.wants.Load() == 0 {
		return
	}
	if peers == 1 {
		a.tell(auth.ChannelOccupied, channel, "", "")
	}
	a.tell(auth.ChannelJoined, channel, peer, meta)
}

// Left tells that a peer has left a channel, which has so many peers now.
func (a *App) Left(channel, peer string, peers int) {
	if a.wants.Load() == 0 {
		return
	}
	a.tell(auth.ChannelLeft, channel, peer, "")
	if peers == 0 {
		a.tell(auth.ChannelVacated, channel, "", "")
	}
}

func (a *App) tell(kind auth.Events, channel, peer, meta string) {
	if auth.Events(a.wants.Load()).Has(kind) {
		a.inbox.put(event{app: a, kind: kind, channel: channel, peer: peer, meta: meta})
	}
}
