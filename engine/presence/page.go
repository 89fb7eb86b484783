package presence

import (
	"sync/atomic"

	"signalbox/protocol"
)

// pageLen is how many peers a page has at most: few enough that a copy and an
// encoding are nothing, many enough that a large roster is a short list.
const pageLen = 64

// page is a run of a roster's peers. Once a Cut may hold it, nothing that the
// Cut sees of it changes: it is copied first, but for peers appended behind.
type page struct {
	entries []entry
	size    int    // bytes of the text
	epoch   uint64 // the roster's when the page was made

	// Any goroutine (atomic): the text of a full page, if somebody has made it.
	text atomic.Pointer[[]byte]
}

// entry is one peer and what its newest socket says.
type entry struct {
	peer string
	socket
}

// socket is one of a peer's at the Home; elsewhere only meta counts.
type socket struct {
	meta  string // raw JSON object or empty
	ref   uint64
	older *socket // the next older one of the peer; touched by the Home only
}

// wire returns the entry as it is told to others.
func (e *entry) wire() protocol.Peer { return protocol.Peer{ID: e.peer, Metadata: metadata(e.meta)} }

// size returns the bytes of the entry's text, with a comma before it.
func (e *entry) size() int { return 1 + protocol.PeerSize(e.wire()) }

// add appends an entry.
func (p *page) add(e entry) {
	p.entries = append(p.entries, e)
	p.size += e.size()
}

// clone returns a copy for the epoch.
func (p *page) clone(epoch uint64) *page {
	return &page{entries: append([]entry(nil), p.entries...), size: p.size, epoch: epoch}
}

// find returns the index of the peer in the page, or -1.
func (p *page) find(id string) int {
	for i := range p.entries {
		if p.entries[i].peer == id {
			return i
		}
	}
	return -1
}

// encoded returns the text of the page's peers, each behind a comma. Immutable.
// Only a full page's is kept: others are about to change.
func (p *page) encoded() []byte {
	if text := p.text.Load(); text != nil {
		return *text
	}
	text := p.encode(-1)
	if len(p.entries) == pageLen {
		p.text.Store(&text)
	}
	return text
}

// encode makes the text of the page's peers but the one at index without.
func (p *page) encode(without int) []byte {
	text := make([]byte, 0, p.size)
	for i := range p.entries {
		if i != without {
			text = protocol.AppendPeer(append(text, ','), p.entries[i].wire())
		}
	}
	return text
}
