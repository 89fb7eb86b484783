package cluster

import (
	"encoding/binary"
	"strings"

	"signalbox/engine/auth"
	"signalbox/protocol"
)

const (
	flagAsked = 1 // the hearer tells its own share
	flagMore  = 2 // the share goes on in the next record
)

// maxPart is what the members in one record measure together, in bytes.
const maxPart = 128 << 10

// maxShare is what all members of one share measure together at most, in bytes on the heap:
// more is not believed.
const maxShare = 256 << 20

// entryRoom is what an entry of an answer or a share takes beside its texts, about.
const entryRoom = 32

// appendShare appends a share in as many records as it takes, and returns where
// each ends.
func appendShare(dst []byte, s Share, asked bool) (records []byte, ends []int) {
	for {
		n := fitting(s.Members)
		var flags byte
		if asked {
			flags |= flagAsked
		}
		if n < len(s.Members) {
			flags |= flagMore
		}
		dst = append(dst, kindShare, flags)
		dst = appendText(dst, s.App)
		dst = appendText(dst, s.Channel)
		dst = binary.AppendUvarint(dst, s.Version)
		dst = appendMembers(dst, s.Members[:n])
		ends = append(ends, len(dst))
		if s.Members = s.Members[n:]; len(s.Members) == 0 {
			return dst, ends
		}
	}
}

// fitting is how many members go into one record: at least one, if there is any.
func fitting(members []Member) int {
	size := 0
	for i, m := range members {
		if size += len(m.Peer) + len(m.Meta) + 4; size > maxPart {
			return max(i, 1)
		}
	}
	return len(members)
}

func appendMembers(dst []byte, members []Member) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(members)))
	for _, m := range members {
		dst = appendMember(dst, m)
	}
	return dst
}

func appendMember(dst []byte, m Member) []byte {
	return appendText(appendText(dst, m.Peer), m.Meta)
}

func (c *cursor) share() (flags byte, s Share) {
	flags = c.byte()
	s.App, s.Channel, s.Version = c.text(), c.text(), c.number()
	s.Members = c.members()
	return flags, s
}

func (c *cursor) members() []Member {
	n := c.count(3) // a peer of one character, no metadata
	if n == 0 {
		return nil
	}
	members := make([]Member, 0, n)
	for range n {
		members = append(members, c.member())
	}
	return members
}

// member reads a member, whose texts share one piece of memory.
func (c *cursor) member() Member {
	peer, meta := c.view(), c.view()
	if meta == "" { // with nothing added peer would stay part of the payload
		return Member{Peer: strings.Clone(peer)}
	}
	both := peer + meta
	return Member{Peer: both[:len(peer)], Meta: both[len(peer):]}
}

// appendStep appends a step of this node's share.
func appendStep(dst []byte, s Step) []byte {
	dst = append(dst, kindStep)
	dst = appendText(dst, s.App)
	dst = appendText(dst, s.Channel)
	dst = binary.AppendUvarint(dst, s.Version)
	leaves := byte(0)
	if s.Leaves {
		leaves = 1
	}
	dst = append(dst, leaves)
	return appendMember(dst, s.Member)
}

func (c *cursor) step() Step {
	s := Step{App: c.text(), Channel: c.text(), Version: c.number()}
	s.Leaves = c.byte() != 0
	s.Member = c.member()
	return s
}

// appendExit appends that this node's share of a channel ends.
func appendExit(dst []byte, app, channel string) []byte {
	return appendText(appendText(append(dst, kindExit), app), channel)
}

// channel checks the names that shares, steps and questions are about.
func (k *checker) channel(app, channel string) error {
	if !auth.ValidAppID(app) || !validConcrete(channel) {
		return errName
	}
	return nil
}

func (k *checker) members(members []Member) error {
	for _, m := range members {
		if err := k.member(m); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) member(m Member) error {
	if !protocol.ValidPeerID(m.Peer) {
		return errName
	}
	k.scratch = append(k.scratch[:0], m.Meta...)
	return k.metadata(k.scratch)
}

func (k *checker) share(s Share) error {
	if err := k.channel(s.App, s.Channel); err != nil {
		return err
	}
	return k.members(s.Members)
}

func (k *checker) step(s Step) error {
	if err := k.channel(s.App, s.Channel); err != nil {
		return err
	}
	if s.Leaves && s.Member.Meta != "" {
		return errJSON
	}
	return k.member(s.Member)
}

// partial is a share of which more records are to come. Reader-owned.
type partial struct {
	share Share
	size  int // bytes of its members on the heap
	open  bool
}

// add takes the next record of a share and reports whether it is whole now. A
// record of another share discards what there is: it has no end any more.
func (p *partial) add(s Share, more bool) (whole Share, ok bool, err error) {
	if p.open && (s.App != p.share.App || s.Channel != p.share.Channel || s.Version != p.share.Version) {
		p.drop()
	}
	if !p.open {
		if !more {
			return s, true, nil
		}
		*p = partial{share: s, open: true}
	} else {
		p.share.Members = append(p.share.Members, s.Members...)
	}
	for _, m := range s.Members {
		p.size += entryRoom + len(m.Peer) + len(m.Meta)
	}
	if p.size > maxShare {
		p.drop()
		return Share{}, false, errSize
	}
	if more {
		return Share{}, false, nil
	}
	whole = p.share
	p.drop()
	return whole, true, nil
}

func (p *partial) drop() { *p = partial{} }

// validNode reports whether name can be shown as a node's: up to 64 printable
// characters of ASCII.
func validNode(name string) bool {
	return len(name) <= 64 && strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
