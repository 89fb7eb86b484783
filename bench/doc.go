// Command bench puts load on a Signalbox server and measures what it costs. It
// is an operator's tool first: it works against a running server, or starts one
// of its own.
//
//	go run ./bench fanout
//	go run ./bench cluster --nodes 1,2,3,4,6,8
//	go run ./bench cluster --parts held --connections 100000
//	BENCH_SK_SECRET=sk_secret_… go run ./bench latency --url ws://10.0.0.5:8080 --sk-id sk_id_…
//	make bench         # everything, with a report
//	make bench-smoke   # everything, small: does it run?
//
// # Scenarios
//
//	connect    connects a second, server CPU a connect (token, welcome, subscribe)
//	idle       bytes an idle connection holds, in user space and in the kernel
//	fanout     deliveries a second and server CPU a delivery: one message at a
//	           time or many in flight, from one publisher or many
//	latency    publish to delivery, p50 … p99.9, at shares of the most that the
//	           server takes
//	direct     direct messages there and back
//	presence   a storm of joins, and of leaves by sockets that close: frames, bytes,
//	           time until every roster is right; round trips of two peers that have
//	           no part in it
//	reconnect  a deploy: all connections drop and come back
//	slow       percentiles of healthy peers while others never read
//	soak       mixed traffic for --for; every delivery accounted for, leaks
//	cluster    nodes on NATS: what crosses between them, how cost grows with
//	           their number, a hundred thousand connections over several
//	sim        up to a million sessions in one process, without sockets
//	peers      the same runs against other servers, side by side
//	report     tables and plots of what --json has written
//
// # A server to measure
//
// Without --url the harness builds cmd/signalbox, writes an apps file, and starts
// the server on cores of its own (--loops, --server-cores), with no limit to the
// message rate; --server-flags and --server-env change what is measured,
// --server-bin takes a binary that is there. Clients get the other cores.
//
// With --tls it speaks TLS, and connect, idle and fanout compare it with itself,
// plain, behind a TLS terminator: crypto/tls with two goroutines a connection, on
// the same cores, whose CPU and memory count with the server's.
//
// cluster starts nodes, and a nats-server built from its module (or, with --nats
// embedded, none), and a server without --nats to compare them with. All of them
// share half of the cores. Channels have members on all nodes in turn, and their
// publisher is on the first. Its parts:
//
//	fanout   one channel's CPU a message and a delivery, of nodes and of NATS
//	trips    messages, directs, joins and leaves from one node to others, beside
//	         the same within one server
//	storm    joins of one channel on all nodes at once
//	rest     nodes that nobody is connected to: CPU, and what they hear
//	connect  connects to one node, above what it does at rest: what they
//	         cost it, each other node, and NATS; "slope" is a further node's share
//	held     --connections idle ones over as many nodes as it takes, with a client
//	         process for each node and step: bytes a connection, connects
//
// With --url the load goes to a running server, over ws or wss (--ca, --insecure),
// and there is no floor to compare with. It needs a secret
// key whose patterns allow all names, a message rate that lets a publisher
// through (--message-rate 0), and, if clients come from few addresses, no
// --connect-rate. CPU and memory are measured if the server runs on this machine
// and --pid says which process it is.
//
// # Terms
//
// The floor is a bare hub: one thread, one epoll, one send for each socket and
// message; for connect it also says by heart what the server says to a peer that
// subscribes. Server and floor are measured in turn, and a ratio is always one of
// two measurements of the same round: such ratios hold on a machine where
// absolute numbers do not. What is told of several rounds is their median, of a
// ratio with the least and the most of them; --json has every round's, so that
// ratios can be reckoned anew. A closed loop sends the next message when the last
// one has arrived everywhere; a paced load sends at its rate whatever happens,
// and a message, or a connect, counts from when it was due.
//
// # Reading the figures
//
// "CPU a delivery" is the CPU time of the server's process in user space and
// kernel by the frames that clients received. "server core" near 100 % and
// "client core" well below it prove that the server was the limit. "others there"
// is how much of one core something else had of the server's cores: other
// processes, interrupts, and, as steal, the hypervisor's other guests; "others on
// the client's" is the same of the cores that the load comes from. Where they are
// more than a few percent, rates and latencies are those of a busy machine. They are
// left out where /proc/stat does not list these cores, as in some containers. The
// kernel counts them in ticks of 10 ms: over a second they are right to some
// percent. Where it keeps the time of interrupts apart (IRQ_TIME_ACCOUNTING, as
// many distributions do), the receiving half of loopback is in them and in no
// process' CPU time, so that figures a delivery are too low and "server core" stays
// below 100 %; ratios to the floor, which has the same, hold. "client lag" is how
// late the client itself sent. "kernel,
// one end" is half of what the kernel's objects and buffers grew by, as both ends
// of a connection are on this machine. Memory is that of a server at rest: idle
// waits until what the process holds changes no more (--rest), because garbage
// and free pages that a burst of connects leaves say nothing of a connection.
//
// # Ownership
//
// A scenario runs on one goroutine, which owns the harness and the record; what
// handlers count belongs to their client loop (see package client).
//
// # Limits
//
// Linux only. A process holds as many connections as its descriptors allow;
// server and clients are processes of their own, so each has its own limit. Every
// load ends by itself: by its count, its --for, or --timeout. Ctrl-C ends it in
// order, with the results there are; a second one at once. A run that has lost
// connections or messages, or missed a limit of its own, has failed: its record has
// what there is, is marked as partial, and says why.
package main
