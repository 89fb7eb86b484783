package session

import (
	"signalbox/engine/presence"
	"signalbox/engine/registry"
)

// notice tells whoever listens of a change of the roster, which has been made.
// On the channel's home loop, and before the part is given up: so a channel's
// changes are told in one order, also when it ends here and begins elsewhere.
func (l *Loop) notice(p *registry.Part, c presence.Change) {
	e := p.Space().Events
	if e == nil {
		return
	}
	switch c.Kind {
	case presence.Join:
		e.Joined(p.Name, c.ID, c.Meta, p.Peers())
	case presence.Leave:
		e.Left(p.Name, c.ID, p.Peers())
	}
}
