package session

import (
	"encoding/binary"
	"slices"
)

// wire is a connection without a socket: what the session writes is kept, and
// it may be slow to read or break. Its ends are the loop's and the client's.
type wire struct {
	session *Session
	unread  []byte // input not dealt with
	over    bool   // finished, or gone
	ended   func() // called when it is over; may be nil

	out    []byte // written, not parsed
	bounds []int  // offsets in out at which writes end
	writes int    // all there were

	written func() // called on a write; may be nil

	more   bool // something is left in the socket, as Resume tells
	deaf   bool // what is written is forgotten
	slow   bool
	queued int // of a slow one: written, not read
	breaks int // the write that fails, counted down; 0: none
}

func (w *wire) Write(b []byte) {
	if w.over {
		return
	}
	if w.breaks > 0 {
		if w.breaks--; w.breaks == 0 && w.session != nil {
			w.vanish()
			return
		}
	}
	w.writes++
	if w.written != nil {
		w.written()
	}
	if w.deaf {
		return
	}
	w.out = append(w.out, b...)
	w.bounds = append(w.bounds, len(w.out))
	if w.slow {
		w.queued += len(b)
	}
}

// Batch has b written by the loop's flag, if it has one; the flag of a parallel
// world has no batch.
func (w *wire) Batch(b []byte) bool {
	f, ok := w.session.loop.waker.(*flag)
	if !ok || w.over || w.queued > 0 {
		return false
	}
	f.batch = append(f.batch, batched{w, b})
	return true
}

func (w *wire) Queued() int { return w.queued }

func (w *wire) Finish() { w.end() }

func (w *wire) Resume() (more bool) {
	if w.over || len(w.unread) == 0 {
		return false
	}
	b := w.unread
	w.unread = nil
	rest := b[w.session.Receive(b):]
	w.unread = slices.Clone(rest)
	return w.more
}

func (w *wire) end() {
	if w.over {
		return
	}
	w.over = true
	if w.ended != nil {
		w.ended()
	}
}

// vanish is the end of the connection as the kernel reports it.
func (w *wire) vanish() {
	if w.over {
		return
	}
	w.end()
	w.session.Closed(w.unread)
	w.unread = nil
}

// feed hands the session input, as the reactor does. On the loop's goroutine.
func (w *wire) feed(b []byte) {
	if w.over {
		return
	}
	w.session.loop.Begin()
	if w.over {
		return
	}
	buf := append(w.unread, b...)
	w.unread = nil
	n := 0
	if w.session.Ready() {
		n = w.session.Receive(buf)
	}
	if !w.over {
		w.unread = slices.Clone(buf[n:])
	}
}

// segment is one frame that was written.
type segment struct {
	op      byte
	payload []byte
	write   int // which write its first byte was in
}

// take returns the whole frames written since the last call.
func (w *wire) take() []segment {
	var got []segment
	pos, nth := 0, w.writes-len(w.bounds)
	for k := 0; ; {
		rest := w.out[pos:]
		head, size, ok := serverHeader(rest)
		if !ok || len(rest) < head+size {
			break
		}
		for k < len(w.bounds) && w.bounds[k] <= pos {
			k++
		}
		got = append(got, segment{rest[0] & 0xf, slices.Clone(rest[head : head+size]), nth + k})
		pos += head + size
	}
	w.out = w.out[pos:]
	bounds := w.bounds[:0]
	for _, b := range w.bounds {
		if b > pos {
			bounds = append(bounds, b-pos)
		}
	}
	w.bounds = bounds
	return got
}

// serverHeader reads the length of a header and of its payload.
func serverHeader(b []byte) (head, size int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch size = int(b[1]); {
	case size < 126:
		return 2, size, true
	case size == 126 && len(b) >= 4:
		return 4, int(binary.BigEndian.Uint16(b[2:])), true
	case size == 127 && len(b) >= 10:
		return 10, int(binary.BigEndian.Uint64(b[2:])), true
	}
	return 0, 0, false
}

// clientFrame returns a masked frame.
func clientFrame(op byte, payload []byte) []byte {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}
