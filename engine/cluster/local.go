package cluster

// Local is the Bus of a server that stands alone.
type Local struct{}

// Alone reports that there is no other node.
func (Local) Alone() bool { return true }

// ID returns an id that nobody asks for.
func (Local) ID() NodeID { return 1 }

// Behind reports that nothing waits.
func (Local) Behind() bool { return false }

// Publish reaches nobody.
func (Local) Publish(_ Publication, counted func(int)) error { return none(counted) }

// Send reaches nobody.
func (Local) Send(_ Direct, _ bool, reached func(int)) error { return none(reached) }

// Kick reaches nobody.
func (Local) Kick(_, _ string, closed func(int)) error { return none(closed) }

func none(count func(int)) error {
	if count != nil {
		count(0)
	}
	return nil
}

// Peers finds nobody.
func (Local) Peers(_, _ string, found func([]Member)) error {
	found(nil)
	return nil
}

// Channels finds none.
func (Local) Channels(_, _, _ string, _ int, found func([]Occupied)) error {
	found(nil)
	return nil
}

// EnterPeer does nothing.
func (Local) EnterPeer(_, _ string) {}

// ExitPeer does nothing.
func (Local) ExitPeer(_, _ string) {}

// EnterPattern has nobody to wait for.
func (Local) EnterPattern(_, _ string, entered func(all bool)) { entered(true) }

// ExitPattern does nothing.
func (Local) ExitPattern(_, _ string) {}

// EnterChannel has nobody to wait for.
func (Local) EnterChannel(_ Share, entered func(all bool)) {
	if entered != nil {
		entered(true)
	}
}

// ExitChannel does nothing.
func (Local) ExitChannel(_, _ string) {}

// Tell has nobody to tell.
func (Local) Tell(Step) {}

// Exchange has nobody to ask.
func (Local) Exchange(NodeID, Share) {}

// Answer has nobody to tell.
func (Local) Answer(NodeID, Share) {}
