package secure

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

// forger writes records of TLS 1.3 as a client that crypto/tls would never be.
type forger struct {
	t        *testing.T
	secret   []byte
	sequence uint64
}

// forged returns a server's connection and what writes records for it.
func forged(t *testing.T) (*Conn, *forger) {
	t.Helper()
	s := newServer(t)
	var log bytes.Buffer
	cfg := s.client(tls.VersionTLS13)
	cfg.KeyLogWriter = &log
	conn, c, _ := established(t, s, cfg)
	if suite := c.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("got cipher suite %s, the forger knows but one", tls.CipherSuiteName(suite))
	}
	for line := range strings.Lines(log.String()) {
		if fields := strings.Fields(line); fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				t.Fatal(err)
			}
			return conn, &forger{t: t, secret: secret, sequence: 1} // "hello" was the first
		}
	}
	t.Fatal("no secret was logged")
	return nil, nil
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
func (f *forger) expand(label string, size int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(append(info, byte(6+len(label))), "tls13 "+label...), 0)
	b, err := hkdf.Expand(sha256.New, f.secret, string(info), size)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// record returns a record of this inner type.
func (f *forger) record(kind byte, content ...byte) []byte {
	block, err := aes.NewCipher(f.expand("key", 16))
	if err != nil {
		f.t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		f.t.Fatal(err)
	}
	nonce := f.expand("iv", 12)
	for i, b := range binary.BigEndian.AppendUint64(nil, f.sequence) {
		nonce[4+i] ^= b
	}
	f.sequence++
	inner := append(content, kind)
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(inner)+aead.Overhead()))
	return append(head, aead.Seal(nil, nonce, inner, head)...)
}

// keyUpdate returns a KeyUpdate, and has the records behind it use the new key.
func (f *forger) keyUpdate(requested byte) []byte {
	b := f.record(recordHandshake, 24, 0, 0, 1, requested)
	f.secret, f.sequence = f.expand("traffic upd", 32), 0
	return b
}

const recordData = 23

// TestKeyUpdate changes keys in the midst of data.
func TestKeyUpdate(t *testing.T) {
	conn, f := forged(t)
	for _, requested := range []byte{0, 1} {
		in := f.record(recordData, 'a')
		in = append(in, f.keyUpdate(requested)...)
		in = append(in, f.record(recordData, 'b')...)
		var plain, replies []byte
		for _, b := range in {
			var reply []byte
			var err error
			if plain, reply, err = conn.Open(plain, []byte{b}); err != nil {
				t.Fatal(err)
			}
			replies = append(replies, reply...)
		}
		if string(plain) != "ab" {
			t.Errorf("requested %d: got %q", requested, plain)
		}
		if (len(replies) > 0) != (requested == 1) {
			t.Errorf("requested %d: got %d bytes in reply", requested, len(replies))
		}
	}
}

// TestIdleRecords bounds what a client may send that says nothing.
func TestIdleRecords(t *testing.T) {
	tests := []struct {
		name   string
		record func(*forger) []byte
	}{
		{"empty data", func(f *forger) []byte { return f.record(recordData) }},
		{"key updates", func(f *forger) []byte { return f.keyUpdate(1) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, f := forged(t)
			var err error
			n := 0
			for ; n < 100 && err == nil; n++ {
				_, _, err = conn.Open(nil, test.record(f))
			}
			if err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%d in a row: got %v", n, err)
			}
		})
	}
}

// TestBreach breaks a connection: what came before counts, the client is told,
// and nothing goes on.
func TestBreach(t *testing.T) {
	tests := []struct {
		name   string
		record func(*forger) []byte
		want   error // nil: any
	}{
		{"a record of noise", func(*forger) []byte { return []byte{23, 3, 3, 0, 32, 31: 0, 36: 0} }, nil},
		{"too long a record", func(*forger) []byte { return []byte{23, 3, 3, 0xff, 0xff} }, nil},
		{"renegotiation", func(f *forger) []byte { return f.record(recordHandshake, message(messageHello, 10)...) }, nil},
		{"half a message, then data", func(f *forger) []byte {
			return append(f.record(recordHandshake, 24, 0), f.record(recordData, 'd')...)
		}, nil},
		{"a fatal alert", func(f *forger) []byte { return f.record(21, 2, 40) }, nil},
		{"close_notify", func(f *forger) []byte { return f.record(21, 1, 0) }, io.EOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, f := forged(t)
			in := append(f.record(recordData, 'a'), test.record(f)...)
			plain, _, err := conn.Open(nil, in)
			if string(plain) != "a" || err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %q, %v; want \"a\" and an error", plain, err)
			}
			plain, _, err = conn.Open(nil, f.record(recordData, 'b'))
			if len(plain) > 0 || err == nil {
				t.Errorf("after that: got %q, %v", plain, err)
			}
		})
	}
}

// TestManySmallRecords takes a buffer full of the smallest records there are.
func TestManySmallRecords(t *testing.T) {
	conn, f := forged(t)
	var in []byte
	n := 0
	for ; len(in) < 64<<10; n++ {
		in = append(in, f.record(recordData, 'a')...)
	}
	plain, _, err := conn.Open(nil, in)
	if len(plain) != n || err != nil {
		t.Errorf("got %d bytes, %v; want %d", len(plain), err, n)
	}
}
