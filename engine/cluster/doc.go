// Package cluster joins nodes over NATS: what one has to hear of another crosses
// here, and nothing else does.
//
// The engine hands a Bus what other nodes may have to hear, and asks it for what
// only they know. What they say comes to a Node. Local is the Bus of a server that
// stands alone: there is nobody to tell and nothing to ask. [NATS] is that of a
// cluster, over a NATS of its own or one in the nodes' processes (Config.URLs).
//
// # What crosses the wire
//
// A payload of NATS begins with the format, the id of the node and a number that
// grows with each of its payloads; records follow, each a kind and its fields. A
// subject says whom a payload is for, with names escaped so that none can hold a
// separator or a wildcard:
//
//	signalbox.c.APP.SEGMENT…  a channel: messages, steps of a share, its end
//	signalbox.d.APP.PEER      messages to a peer
//	signalbox.all             every node: shares of channels entered, beats, usage,
//	                          questions and the marks that end them
//	signalbox.n.NODE          one node: answers, shares told to it alone
//	signalbox.r.NODE.ASK      NATS itself: nobody has subscribed to that peer
//	signalbox.hello           JSON that nodes of any format understand
//
// A message crosses as the frame its subscribers get, made once. A node subscribes
// to the channels, patterns and peers that it has sockets for, and hears no others;
// without a socket it lets go two seconds later. A pattern's subject may take in more
// than the pattern; the loops look.
//
// What loops say is appended to the outbox. One goroutine, the writer, passes it on,
// and records for one subject that follow one another share a payload. Another, the
// reader, takes what NATS brings, checks it and calls the Node. So what a node says
// is heard in the order in which it was said; what two nodes say is in no order.
//
// # Rounds
//
// What needs an answer of every node (how many sockets a message has reached) is said,
// and then a mark: each node answers the mark once it has answered all that came
// before, and the round ends with the last answer, or after a second. All that is asked
// meanwhile shares the next round.
//
// What every node only has to have heard (a new subscription, a share) is said, and
// then a fence, which each node answers at once: it may have yet to answer marks, and
// may wait for this node to do so. Such a round ends with the last answer, or the end
// of who has not answered: it lasts longer than it takes to see that a node is gone.
// A subscribe is acknowledged when every node has heard it. Who has missed a fence, and
// lives, is asked again: a snapshot never lacks the peers of a node that is there, nor a
// wildcard its messages.
//
// # Presence
//
// Each node owns its share of a channel's roster: the peers with subscribed
// sockets there. It alone changes it, by numbered steps, and every node with
// subscribers of the channel follows. The roster is the union of the shares; a
// peer is in it as long as it is in any. A node that begins to hear a channel
// tells all others its share and is told theirs before its first subscriber gets
// an ack. A step that is missing has the share told anew.
//
// A node beats once a second, also while its reader waits for loops, up to half a
// minute. One that is silent for three and a half seconds is gone, and its shares with
// it. When it is back, or the link has been down, all shares are exchanged. Until a node
// has answered, its messages wait, so that none comes from a peer that is in no roster;
// steps do not, so a message may come after its sender's leave. Until all have answered,
// this node says no messages: see standing.
//
// A node that hears nobody, because NATS denies it what all nodes hear, says goodbye and
// nothing more: others would wait for its answers to fences, for ever.
//
// # What is lost
//
// While the link is known to be down, and from then on until all others have heard all
// shares or are gone, a message is delivered on this node and answered with
// ErrUnavailable; a message to a peer with a socket here is answered as if there were no
// other. If all are gone when the link is back, they have a second to be heard again. A
// cut that nobody has told of is known within three seconds, and what was said in that time
// may not arrive.
//
// Where the link holds and what is behind it does not, because NATS itself is parted, or
// routes have changed hands, nobody is told: what is said to a node on the other side is
// lost until that node is gone here, and then not missed.
//
// Of the messages of one node that wait for its shares 1 MiB is kept, the rest is lost.
// NATS' own queues may drop what a node does not read fast enough; the node then
// exchanges all shares. What NATS denies a node to hear does not come; the log says so.
//
// # Trust
//
// Who may publish to these subjects can speak for every node: the accounts of NATS,
// the secret and the certificates of routes keep others out. Even so nothing is taken
// unchecked: formats, sizes, names, JSON, and that a frame is what it says. What is
// refused is counted by reason.
//
// # Ownership
//
// A Bus may be used from any goroutine. Byte slices are borrowed until the call
// returns. The outbox is guarded by a lock that is held for a copy at most; members
// and their payload numbers belong to the reader, the connection's publishing side
// to the writer.
//
// # Limits
//
// The outbox holds 64 MiB and refuses more, and beside that shares that are large by
// themselves, one more than 64 MiB of them. Who has all shares to tell does so as the
// outbox empties. A share is 256 MiB at most. A payload is 256 KiB at most, but for one
// large message. A cluster has 1 024 nodes at most, and of those that are found 64 are told
// all shares at a time.
package cluster
