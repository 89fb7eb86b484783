package secure

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// records cuts a handshake message into records of at most size bytes.
func records(message []byte, size int) []byte {
	var b []byte
	for len(message) > 0 {
		fragment := message[:min(size, len(message))]
		message = message[len(fragment):]
		b = append(b, recordHandshake, 3, 1)
		b = binary.BigEndian.AppendUint16(b, uint16(len(fragment)))
		b = append(b, fragment...)
	}
	return b
}

// message is a handshake message with a body of size bytes.
func message(kind byte, size int) []byte {
	return append([]byte{kind, byte(size >> 16), byte(size >> 8), byte(size)}, bytes.Repeat([]byte{'b'}, size)...)
}

func TestHello(t *testing.T) {
	tests := []struct {
		name  string
		buf   []byte
		whole bool
		err   error
	}{
		{"nothing", nil, false, nil},
		{"one record", records(message(1, 500), maxRecord), true, nil},
		{"more behind it", append(records(message(1, 500), maxRecord), "more"...), true, nil},
		{"torn into records", records(message(1, 500), 10), true, nil},
		{"torn in the message's header", records(message(1, 20), 1), true, nil},
		{"as many records as may be", records(message(1, 60), 1), true, nil},
		{"one too many", records(message(1, 61), 1), false, ErrHello},
		{"longest", records(message(1, maxRecord-messageHeader), maxRecord), true, nil},
		{"message too long", records(message(1, maxRecord-messageHeader+1), 1000), false, ErrHello},
		{"record too long", []byte{22, 3, 1, 0x40, 1}, false, ErrHello},
		{"empty record", []byte{22, 3, 1, 0, 0}, false, ErrHello},
		{"another message", records(message(2, 500), maxRecord), false, ErrHello},
		{"an alert behind the first record", append(records(message(1, 500)[:100], maxRecord), 21, 3, 1, 0, 2, 1, 0), false, ErrHello},
		{"another version", []byte{22, 2, 0, 0, 10}, false, ErrHello},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), false, ErrPlain},
		{"one byte of HTTP", []byte("G"), false, ErrPlain},
		{"an alert", []byte{21}, false, ErrPlain},
		{"one byte", []byte{22}, false, nil},
	}
	for _, test := range tests {
		whole, err := Hello(test.buf)
		if whole != test.whole || !errors.Is(err, test.err) {
			t.Errorf("%s: got %v, %v; want %v, %v", test.name, whole, err, test.whole, test.err)
		}
	}
}

// TestHelloPrefix finds a hello whole when its last byte is there, not before.
func TestHelloPrefix(t *testing.T) {
	for _, size := range []int{1, 9, 300} {
		b := records(message(1, 50), size)
		for n := range b {
			if whole, err := Hello(b[:n]); whole || err != nil {
				t.Fatalf("records of %d, %d bytes: got %v, %v", size, n, whole, err)
			}
		}
		if whole, err := Hello(b); !whole || err != nil {
			t.Fatalf("records of %d: got %v, %v", size, whole, err)
		}
	}
}

// FuzzHello looks at any bytes as they come in.
func FuzzHello(f *testing.F) {
	f.Add(records(message(1, 100), 30))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxHello+1 {
			b = b[:MaxHello+1]
		}
		whole, err := Hello(b)
		if len(b) >= MaxHello && !whole && err == nil {
			t.Error("it waits for more than it may")
		}
		for _, n := range []int{0, len(b) / 3, len(b) / 2} {
			before, fault := Hello(b[:n])
			if fault != nil && err == nil || before && !whole {
				t.Errorf("%d of %d bytes: got %v, %v; then %v, %v", n, len(b), before, fault, whole, err)
			}
		}
	})
}

// FuzzRecords gives a server bytes of any kind for a ClientHello, and behind a
// good handshake. It must tell an end and not stand still.
func FuzzRecords(f *testing.F) {
	s := newServer(f)
	f.Add([]byte{23, 3, 3, 0, 1, 0}, false)
	f.Add([]byte{20, 3, 3, 0, 1, 1}, false)
	f.Add([]byte{21, 3, 3, 0, 2, 1, 0}, false)
	f.Add(records(message(1, 100), 30), true)
	f.Add(records(message(1, 100)[:50], 50), true)
	f.Fuzz(func(t *testing.T, b []byte, first bool) {
		if first {
			nc, endC := s.connect(t, 64<<10, nil)
			go func() { _, _ = io.Copy(io.Discard, nc) }()
			_, _ = nc.Write(b)
			_ = nc.Close()
			if err := await(t, endC); err == nil {
				t.Error("it was taken for a whole connection")
			}
			return
		}
		conn, _, _ := established(t, s, s.client(tls.VersionTLS13))
		plain, _, err := conn.Open(nil, b)
		if len(plain) > 0 {
			t.Errorf("got %q from noise", plain)
		}
		if err == nil {
			if _, err := conn.Seal(nil, []byte("b")); err != nil {
				t.Errorf("it takes no more output: %v", err)
			}
		}
	})
}
