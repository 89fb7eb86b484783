package floor

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"signalbox/bench/client"
	"signalbox/protocol/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a hub until the test ends.
func start(t *testing.T) *Server {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	doneC := make(chan error, 1)
	go func() { doneC <- s.Run() }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-doneC; err != nil {
			t.Error(err)
		}
	})
	return s
}

// member is a socket whose reads fail rather than wait forever.
type member struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, s *Server) *member {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &member{c, bufio.NewReader(c)}
}

// join upgrades a new socket to a member of the hub.
func join(t *testing.T, s *Server) *member { return upgrade(t, s, "/any") }

func upgrade(t *testing.T, s *Server, path string) *member {
	t.Helper()
	m := dial(t, s)
	m.write(t, client.Upgrade(s.Addr().String(), path))
	answer, err := http.ReadResponse(m.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got status %d", answer.StatusCode)
	}
	return m
}

func (m *member) write(t *testing.T, b []byte) {
	t.Helper()
	if _, err := m.Write(b); err != nil {
		t.Fatal(err)
	}
}

// expect reads exactly the frame of a text.
func (m *member) expect(t *testing.T, text string) {
	t.Helper()
	m.expectFrame(t, frame.AppendFrame(nil, frame.OpText, []byte(text)))
}

func (m *member) expectFrame(t *testing.T, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(m.r, got); err != nil || string(got) != string(want) {
		t.Fatalf("got %q, error %v, want %q", got, err, want)
	}
}

func TestHub(t *testing.T) {
	s := start(t)
	a, b, c := join(t, s), join(t, s), join(t, s)
	a.write(t, client.AppendText(client.AppendText(nil, []byte("one")), []byte("two")))
	for _, m := range []*member{b, c} {
		m.expect(t, "one")
		m.expect(t, "two")
	}
	// Had a got its own messages, they would come before this one.
	b.write(t, client.AppendText(nil, []byte("three")))
	a.expect(t, "three")
	c.expect(t, "three")

	// The close of one is answered by the end of its stream, and the others
	// stay.
	a.write(t, client.AppendFrame(nil, frame.OpClose, nil))
	if n, err := a.r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %d bytes, error %v, want the end", n, err)
	}
	c.write(t, client.AppendText(nil, []byte("four")))
	b.expect(t, "four")
}

func TestDialogue(t *testing.T) {
	s := start(t)
	speakers := []*member{upgrade(t, s, DialoguePath+"?token=a"), upgrade(t, s, DialoguePath+"?token=b")}
	for _, m := range speakers {
		m.expectFrame(t, welcome[len(answer):])
		m.write(t, client.AppendText(nil, []byte("subscribe")))
		m.expectFrame(t, ack)
	}
	for _, m := range speakers {
		m.expectFrame(t, snapshot)
	}
	speakers[0].write(t, client.AppendFrame(nil, frame.OpClose, nil))
	if n, err := speakers[0].r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after a close: got %d bytes, error %v, want the end", n, err)
	}
}

func TestRefused(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		name  string
		first []byte
	}{
		{"no request", []byte("hello")},
		{"another method", []byte("POST / HTTP/1.1\r\n\r\n")},
	} {
		m := dial(t, s)
		m.write(t, tt.first)
		if n, err := m.r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: got %d bytes, error %v, want the end", tt.name, n, err)
		}
	}
	m := join(t, s)
	m.write(t, frame.AppendFrame(nil, frame.OpText, []byte("not masked")))
	if n, err := m.r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a frame that is not masked: got %d bytes, error %v, want the end", n, err)
	}
}
