package cluster

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// ErrUnavailable says that the other nodes cannot be reached now. What was to be
// done has been done on this node only.
var ErrUnavailable = errors.New("cluster: other nodes cannot be reached")

// Unknown is a number of sockets that could not be found out.
const Unknown = -1

// NodeID names one run of one node: random, never 0.
type NodeID uint64

// String returns the id in hexadecimal.
func (id NodeID) String() string { return strconv.FormatUint(uint64(id), 16) }

// Publication is a message to a channel, as it crosses between nodes.
type Publication struct {
	App, Channel string
	From         string
	FromMetadata []byte // raw JSON object or nil
	Data         []byte // raw JSON value
	// Frame is the message without metadata, a whole text frame: what
	// subscribers get. It may be nil where the Bus is alone.
	Frame []byte
}

// Direct is a message to a peer, as it crosses between nodes.
type Direct struct {
	App, To      string
	From         string
	FromMetadata []byte // raw JSON object or nil
	Data         []byte // raw JSON value
}

// Member is a peer with a subscribed socket on a node.
type Member struct {
	Peer string
	Meta string // raw JSON object or empty; of its newest socket there
}

// Share is one node's part of a channel's roster: whole if it is told anew.
type Share struct {
	App, Channel string
	Version      uint64 // grows with every Step
	Members      []Member
}

// Step is one change of a node's share. Version is the share's after it.
type Step struct {
	App, Channel string
	Version      uint64
	Leaves       bool   // the peer has left; else it is there, with this metadata
	Member       Member // Meta is empty if it leaves
}

// Bus carries what other nodes must hear, and brings what they say to a Node.
//
// Every method may be called from any goroutine, event loops among them; none
// blocks. Byte slices are borrowed until the call returns. What one goroutine
// hands over goes out in that order. Callbacks are called once, on a goroutine of
// the bus, or on the caller's before the method returns, and must not block; not
// at all if the method returns an error.
type Bus interface {
	// Alone reports whether there can be no other node, ever: nothing said here
	// has an effect, and every callback is called at once.
	Alone() bool
	// ID returns this node's id.
	ID() NodeID
	// Behind reports whether so much waits to be passed on that whoever has much to say,
	// and time, had better wait.
	Behind() bool

	// Publish tells the nodes that have subscribers of the channel. counted, if
	// not nil, gets how many sockets that is.
	Publish(p Publication, counted func(sockets int)) error
	// Send tells the nodes that have sockets of the peer. reached gets how many
	// sockets that is; if one is true, any number above 0 will do, which is known
	// sooner, and Unknown comes instead of 0 if not all nodes have answered.
	Send(d Direct, one bool, reached func(sockets int)) error
	// Kick closes the peer's sockets elsewhere. closed gets how many that is.
	Kick(app, peer string, closed func(sockets int)) error
	// Peers asks for the roster of a channel that this node has no subscriber of.
	Peers(app, channel string, found func([]Member)) error
	// Channels asks for channels with peers on other nodes: the first limit behind
	// the name after that begin with prefix, in order, each once.
	Channels(app, prefix, after string, limit int, found func([]Occupied)) error

	// EnterPeer says that a peer has a socket here, ExitPeer takes one such back; of
	// the same peer there may be several.
	EnterPeer(app, peer string)
	ExitPeer(app, peer string)
	// EnterPattern says that messages of matching channels are wanted here,
	// ExitPattern takes one such back; of the same pattern there may be several.
	// entered is called once all nodes' messages come; with false if those of some node
	// that has not gone may not: who enters again takes one of the two back.
	EnterPattern(app, pattern string, entered func(all bool))
	ExitPattern(app, pattern string)
	// EnterChannel says that the channel has a subscriber here, and tells all nodes
	// this one's share; it may be repeated, to exchange shares anew. entered, if not
	// nil, is called once all nodes' messages come and Node has been handed their shares;
	// with false if some node that has not gone may not have told its own.
	// ExitChannel says that it has no subscriber any more: the share ends.
	EnterChannel(s Share, entered func(all bool))
	ExitChannel(app, channel string)
	// Tell tells the nodes with subscribers of the channel of a step. A channel's
	// steps follow one another without a gap from the share that it was entered
	// with.
	Tell(s Step)
	// Exchange tells one node this one's share of a channel and asks for its.
	Exchange(with NodeID, s Share)
	// Answer tells a node this one's share, which it has asked for.
	Answer(to NodeID, s Share)
}

// Occupied is a channel with peers.
type Occupied struct {
	Channel string
	Peers   int
}

// FirstChannels returns the first of the channels in order of their names, each
// once, at most limit, in found's memory. Nodes with subscribers of a channel know
// all its peers, so the highest number is right.
func FirstChannels(found []Occupied, limit int) []Occupied {
	slices.SortFunc(found, func(a, b Occupied) int {
		return cmp.Or(strings.Compare(a.Channel, b.Channel), b.Peers-a.Peers)
	})
	found = slices.CompactFunc(found, func(a, b Occupied) bool { return a.Channel == b.Channel })
	return found[:min(limit, len(found))]
}

// Node is this node, as the bus sees it. Its methods are called on one goroutine,
// what one node has said in the order in which it said it; they may wait for the
// event loops, and for nothing else. All they are handed has been checked for
// form: sizes, names, JSON. That an app exists is theirs to check. Slices and
// strings are theirs to keep.
type Node interface {
	// Publish and Send deliver a message here. counted, if not nil, gets how many
	// sockets it went to.
	Publish(p Publication, counted func(sockets int))
	Send(d Direct, counted func(sockets int))
	// Kick closes the peer's sockets here.
	Kick(app, peer string, closed func(sockets int))
	// Peers gets this node's share of a roster.
	Peers(app, channel string, found func([]Member))
	// Channels gets the first channels with peers that this node knows of.
	Channels(app, prefix, after string, limit int, found func([]Occupied))

	// Share replaces what is known of a node's share of a channel. If asked is
	// true, this node's is answered: with Bus.Answer, unless it has none.
	Share(from NodeID, s Share, asked bool)
	// Step follows a node's share.
	Step(from NodeID, s Step)
	// Exit ends a node's share of a channel.
	Exit(from NodeID, app, channel string)
	// Settle returns once all shares, steps and exits handed over before are in
	// effect on every loop, so that nothing overtakes them.
	Settle()

	// Gone says that a node has died, left or cannot be reached: its shares end.
	Gone(n NodeID)
	// Found says that a node is there that may know other things than this one
	// has told it: all shares are exchanged with it. told is called once they have
	// been handed to the bus.
	Found(n NodeID, told func())
	// Resync says that something may have been lost on the way here or from here:
	// all shares are exchanged with all nodes, by Bus.EnterChannel.
	Resync(told func())
}
