// Package clustertest has the tests of a cluster in trouble: several real server
// processes on a real nats-server, or on embedded ones, over loopback and across
// network namespaces. It needs root, for the namespaces, and iproute2.
//
// # Terms
//
// A node is a server process, the broker the nats-server process between nodes. A
// client is a WebSocket connection to one node; its picture of a channel is what
// the presence frames told it so far, and a lie is a frame that cannot follow from
// the picture before it: a join of who is there, a leave of who is not, a message
// of a member who is not there. A talker publishes numbered utterances, each of
// which ends up acked or refused; the ledger then asks of every client what it
// heard of them. A wire is a veth pair between two namespaces, which can be cut.
//
// # Ownership
//
// A client's reader goroutine owns its connection's input; what it learns is under
// the client's lock. All the rest belongs to the test's goroutine.
//
// # Limits
//
// Every wait has a deadline, and every load a bounded number of utterances.
package clustertest
