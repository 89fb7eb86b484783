package cluster

// standing is whether others know what they should of this node. When something was
// lost a roster may lack peers whose messages would come, so none are said until all
// others have heard all shares anew:
//
//	down     no link; what is said is lost
//	deaf     NATS does not let this node hear; it has said goodbye, for others would
//	         wait for its answers, and says nothing until it has a link over which it
//	         hears
//	lossy    something was lost; all shares are to be told
//	telling  they are told, and not all have heard them
//	settled  messages are said
//
// Guarded by outbox.mu.
type standing struct {
	linked  bool   // as the connection last said
	up      bool   // and an epoch has begun since
	deaf    bool   // this node does not hear others: not until it is linked anew
	lost    bool   // something was, that has not begun to be told anew
	anew    bool   // nor anything since the epoch has begun: others may be yet to be heard
	telling uint64 // how often all shares have begun to be told
	told    uint64 // the last of these that all others have heard
}

// connected notes what the connection says: that it is there, and this node hears by it as
// far as it knows, or is not. It is up only with begin.
func (s *standing) connected(linked bool) {
	s.linked = linked
	if linked {
		s.deaf = false
	} else {
		s.up, s.lost = false, true
	}
}

// begin begins an epoch and reports true, if the link is there and has none.
func (s *standing) begin() bool {
	if !s.linked || s.deaf || s.up {
		return false
	}
	s.up, s.anew = true, s.lost
	return true
}

// speaks reports whether something can be said.
func (s *standing) speaks() bool { return s.up && !s.deaf }

// tell begins to tell what was lost, if something was, and returns the number that
// toldAll takes; 0 if nothing is to be told.
func (s *standing) tell() uint64 {
	if !s.speaks() || !s.lost {
		return 0
	}
	s.lost, s.anew = false, false
	s.telling++
	return s.telling
}

// toldAll notes that all have heard what tell began. Whoever began earlier has told
// less: only the last one counts.
func (s *standing) toldAll(number uint64) { s.told = max(s.told, number) }

func (s *standing) settled() bool { return s.speaks() && !s.lost && s.told == s.telling }
