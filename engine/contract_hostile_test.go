package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestContractHostile(t *testing.T) {
	runChecks(t, withoutRates, []check{
		{"byte by byte", nil, checkTorn},
		{"all in one segment", nil, checkCoalesced},
		{"cut at every place", nil, checkCuts},
		{"framing faults", nil, checkFramingFaults},
		{"invalid UTF-8", nil, checkInvalidUTF8},
		{"binary", nil, checkBinary},
		{"control frames", nil, checkControlFrames},
		{"closing", nil, checkClosing},
		{"close codes", nil, checkCloseCodes},
		{"junk behind a fault", nil, checkJunkBehindFault},
		{"half-close", nil, checkHalfClose},
		{"reset", nil, checkReset},
		{"reset before the welcome", nil, checkEarlyReset},
		{"many empty fragments", nil, checkEmptyFragments},
	})
}

// session returns the bytes of a whole session: upgrade, a subscribe, a publish in two fragments with a ping between,
// an orderly close. The channel is alone to the session.
func (w *world) session(peerID, channel string) string {
	token := w.app.sk.sign(claims{"sub": peerID, "exp": in(time.Hour), "permissions": []string{"subscribe", "publish"}})
	publish := fmt.Sprintf(`{"type":"publish","channel":%q,"data":"é😀","requestId":"p"}`, channel)
	return upgradeHead("/v1?token="+token) +
		text(fmt.Sprintf(`{"type":"subscribe","channel":%q,"requestId":"s"}`, channel)) +
		masked(ws.NewFrame(ws.OpText, false, []byte(publish[:len(publish)-20]))) +
		masked(ws.NewPingFrame([]byte("hello"))) +
		masked(ws.NewFrame(ws.OpContinuation, true, []byte(publish[len(publish)-20:]))) +
		text(`{"type":"ping"}`) + masked(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "bye")))
}

// expectSession reads the answers to session.
func (c *client) expectSession() {
	c.t.Helper()
	c.expectSwitch()
	c.recv("welcome")
	c.expectAck("s")
	c.expectPongFrame("hello")
	c.expectAck("p")
	c.recv("pong")
	c.expectClose(ws.StatusNormalClosure)
}

// expectPongFrame expects a WebSocket pong with the payload next.
func (c *client) expectPongFrame(want string) {
	c.t.Helper()
	op, payload, err := c.read()
	if err != nil || op != ws.OpPong || string(payload) != want {
		c.t.Fatalf("got %v %q, %v; want pong %q", op, payload, err, want)
	}
}

func checkTorn(t *testing.T, w *world) {
	reader := w.peer(t, "reader").subscribe("room")
	c := dial(t, w.addr, "")
	_ = c.conn.SetNoDelay(true)
	for _, b := range []byte(w.session("torn", "room")) {
		c.write(string([]byte{b}))
	}
	c.expectSession()
	reader.expectMessage("room", "torn", "", `"é😀"`)
}

func checkCoalesced(t *testing.T, w *world) {
	reader := w.peer(t, "reader").subscribe("room")
	for range 20 {
		c := dial(t, w.addr, "")
		c.write(w.session("fast", "room"))
		c.expectSession()
		reader.expectMessage("room", "fast", "", `"é😀"`)
	}
	// A hundred messages behind the head, and the head of a refused one with messages behind it.
	c := dial(t, w.addr, "")
	c.write(upgradeHead("/v1?token="+w.app.sk.sign(claims{"sub": "batch", "exp": in(time.Hour)})) +
		strings.Repeat(text(`{"type":"publish","channel":"room","data":1,"requestId":"r"}`), 100))
	c.expectSwitch()
	c.recv("welcome")
	for range 100 {
		c.expectAck("r")
		reader.expectMessage("room", "batch", "", "1")
	}
	c = dial(t, w.addr, "")
	c.write(upgradeHead("/v1?key=pk_live_unknown") + strings.Repeat(text(`{"type":"publish","channel":"room","data":1}`), 100))
	c.expectSwitch()
	c.expectClose(closeUnauthorized)
	reader.fence()
}

// checkCuts sends the session in two segments, cut at places all over it.
func checkCuts(t *testing.T, w *world) {
	session := w.session("cut", "room")
	reader := w.peer(t, "reader").subscribe("room")
	frames := strings.Index(session, "\r\n\r\n")
	for at := 1; at < len(session); at++ {
		if at < frames-4 && at%17 != 0 { // the head sparsely, its end and the frames everywhere
			continue
		}
		c := dial(t, w.addr, "")
		_ = c.conn.SetNoDelay(true)
		c.write(session[:at])
		if at > frames+4 { // what the server has answered proves that it has read the first part
			c.expectSwitch()
			c.recv("welcome")
			c.write(session[at:])
			c.expectAck("s")
			c.expectPongFrame("hello")
			c.expectAck("p")
			c.recv("pong")
			c.expectClose(ws.StatusNormalClosure)
		} else {
			c.write(session[at:])
			c.expectSession()
		}
		reader.expectMessage("room", "cut", "", `"é😀"`)
		_ = c.conn.Close()
	}
}

func checkFramingFaults(t *testing.T, w *world) {
	ping := `{"type":"ping"}`
	mask := ws.NewMask()
	tests := map[string]string{
		"unmasked":                 string(ws.MustCompileFrame(ws.NewTextFrame([]byte(ping)))),
		"RSV1":                     withFirstByte(text(ping), 0xc1),
		"RSV2":                     withFirstByte(text(ping), 0xa1),
		"RSV3":                     withFirstByte(text(ping), 0x91),
		"opcode 3":                 withFirstByte(text(ping), 0x83),
		"opcode 7":                 withFirstByte(text(ping), 0x87),
		"opcode 11":                withFirstByte(text(ping), 0x8b),
		"opcode 15":                withFirstByte(text(ping), 0x8f),
		"fragmented ping":          withFirstByte(masked(ws.NewPingFrame(nil)), 0x09),
		"fragmented close":         withFirstByte(masked(ws.NewCloseFrame(nil)), 0x08),
		"ping of 126 bytes":        masked(ws.NewPingFrame(make([]byte, 126))),
		"close of 126 bytes":       masked(ws.NewCloseFrame([]byte("\x03\xe8" + strings.Repeat("x", 124)))),
		"continuation of nothing":  masked(ws.NewFrame(ws.OpContinuation, true, []byte(ping))),
		"continuation begun":       masked(ws.NewFrame(ws.OpContinuation, false, []byte(ping))),
		"text within a message":    masked(ws.NewFrame(ws.OpText, false, []byte(`{`))) + text(ping),
		"16-bit length below 126":  "\x81\xfe\x00\x02" + string(mask[:]) + "ab",
		"64-bit length below 64 K": "\x81\xff\x00\x00\x00\x00\x00\x00\x00\x02" + string(mask[:]) + "ab",
		"64-bit length with MSB":   "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x02" + string(mask[:]),
		"close of one byte":        masked(ws.NewCloseFrame([]byte{3})),
	}
	for _, code := range []ws.StatusCode{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		tests[fmt.Sprintf("close with %d", code)] = masked(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
	}
	for name, bytes := range tests {
		t.Run(name, func(t *testing.T) {
			c := w.peer(t, "alice")
			c.send(ping)
			c.write(bytes)
			c.recv("pong") // what came before the fault counts
			c.expectClose(ws.StatusProtocolError)
		})
	}
}

func withFirstByte(frame string, b byte) string { return string([]byte{b}) + frame[1:] }

func checkInvalidUTF8(t *testing.T, w *world) {
	whole := func(payload string) string { return text(payload) }
	tests := map[string]string{
		"lone continuation":       whole("{\"x\":\"\x80\"}"),
		"cut short":               whole("{\"x\":\"\xe2\x82\"}"),
		"overlong":                whole("{\"x\":\"\xc0\xaf\"}"),
		"surrogate":               whole("{\"x\":\"\xed\xa0\x80\"}"),
		"above U+10FFFF":          whole("{\"x\":\"\xf4\x90\x80\x80\"}"),
		"0xff":                    whole("{\"x\":\"\xff\"}"),
		"in data of a publish":    whole("{\"type\":\"publish\",\"channel\":\"a\",\"data\":\"\xff\"}"),
		"ends inside a rune":      whole("{}\xe2\x82"),
		"in an open fragment":     masked(ws.NewFrame(ws.OpText, false, []byte("{\xff"))),
		"split across fragments":  masked(ws.NewFrame(ws.OpText, false, []byte("{\xe2"))) + masked(ws.NewFrame(ws.OpContinuation, false, []byte("\x28"))),
		"in a frame yet to come":  whole(strings.Repeat("x", 20) + "\xff" + strings.Repeat("x", 1000))[:60],
		"close reason":            masked(ws.NewCloseFrame(append(ws.NewCloseFrameBody(1000, ""), 0xff))),
		"close reason cut short":  masked(ws.NewCloseFrame(append(ws.NewCloseFrameBody(1000, "ok"), 0xe2, 0x82))),
		"message of one bad byte": whole("\xff"),
	}
	for name, bytes := range tests {
		t.Run(name, func(t *testing.T) {
			c := w.peer(t, "alice")
			c.write(bytes)
			c.expectClose(ws.StatusInvalidFramePayloadData)
		})
	}
	bob, alice := w.peer(t, "bob").subscribe("room"), w.peer(t, "alice")
	m := `{"type":"publish","channel":"room","data":"é€😀"}`
	for n := 1; n < 6; n++ { // good UTF-8, however it is cut
		alice.write(fragmented(m, n))
		bob.expectMessage("room", "alice", "", `"é€😀"`)
	}
}

func checkBinary(t *testing.T, w *world) {
	for name, bytes := range map[string]string{
		"a frame":    masked(ws.NewBinaryFrame([]byte(`{"type":"ping"}`))),
		"empty":      masked(ws.NewBinaryFrame(nil)),
		"a fragment": masked(ws.NewFrame(ws.OpBinary, false, []byte("x"))) + masked(ws.NewFrame(ws.OpContinuation, true, []byte("y"))),
	} {
		t.Run(name, func(t *testing.T) {
			c := w.peer(t, "alice")
			c.write(bytes)
			c.expectClose(ws.StatusUnsupportedData)
		})
	}
}

func checkControlFrames(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	full := strings.Repeat("p", 125)
	c.write(masked(ws.NewPingFrame(nil)) + masked(ws.NewPingFrame([]byte(full))) + masked(ws.NewPingFrame([]byte("\x00\xff"))))
	for _, want := range []string{"", full, "\x00\xff"} {
		c.expectPongFrame(want)
	}
	c.write(masked(ws.NewPongFrame(nil)) + masked(ws.NewPongFrame([]byte("nobody asked"))))
	c.fence()
	c.write(masked(ws.NewFrame(ws.OpText, false, []byte(`{"type":`))) + masked(ws.NewPingFrame([]byte("between"))))
	c.expectPongFrame("between")
	c.write(masked(ws.NewPongFrame(nil)) + masked(ws.NewFrame(ws.OpContinuation, false, nil)) + masked(ws.NewFrame(ws.OpContinuation, true, []byte(`"ping"}`))))
	c.recv("pong")
	c.write(masked(ws.NewFrame(ws.OpText, false, []byte(`{"type":`))) + masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
	c.expectClose(ws.StatusNormalClosure)
}

func checkClosing(t *testing.T, w *world) {
	reader := w.peer(t, "reader").subscribe("room")
	c := w.peer(t, "alice")
	end := masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "done")))
	c.write(text(`{"type":"publish","channel":"room","data":1,"requestId":"r"}`) + end + text(`{"type":"publish","channel":"room","data":2}`))
	c.expectAck("r")
	c.expectClose(ws.StatusNormalClosure)
	reader.expectMessage("room", "alice", "", "1")
	reader.fence() // nothing after the close frame counts

	c = w.peer(t, "alice") // a close without a code is answered by a close
	c.write(masked(ws.NewCloseFrame(nil)))
	if op, payload, err := c.read(); err != nil || op != ws.OpClose || len(payload) == 1 {
		t.Errorf("got %v %q, %v; want a close frame", op, payload, err)
	}
	c.expectEnd()
}

func checkCloseCodes(t *testing.T, w *world) {
	for _, code := range []ws.StatusCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4001, 4999} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			c := w.peer(t, "alice")
			secret := "reason the server must not repeat"
			c.write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(code, secret))))
			op, payload, err := c.read()
			if err != nil || op != ws.OpClose {
				t.Fatalf("got %v %q, %v; want a close frame", op, payload, err)
			}
			if got, reason := closeBody(t, payload); got != code && got != ws.StatusNormalClosure || strings.Contains(reason, "reason") {
				t.Errorf("close: got %d %q, want %d", got, reason, code)
			}
			c.expectEnd()
		})
	}
}

// checkJunkBehindFault has a megabyte in flight behind the fault: unread input must not turn into a reset that eats the
// close code.
func checkJunkBehindFault(t *testing.T, w *world) {
	for range 5 {
		c := w.peer(t, "alice")
		c.writeSome("\xff" + strings.Repeat("junk", 1<<18))
		c.expectClose(ws.StatusProtocolError)
	}
}

func checkHalfClose(t *testing.T, w *world) {
	watcher := w.watcher(t, "watcher")
	watcher.join("room")
	c := w.peer(t, "half")
	c.send(`{"type":"subscribe","channel":"room"}`, `{"type":"publish","channel":"room","data":1}`, `{"type":"publish","channel":"room","data":2}`)
	if err := c.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	watcher.expectPresence("room", named("half"), nil)
	watcher.expectMessage("room", "half", "", "1")
	watcher.expectMessage("room", "half", "", "2")
	watcher.expectPresence("room", nil, named("half"))
	for { // whatever the server still says, it ends
		if _, _, err := c.read(); err != nil {
			break
		}
	}
	c.expectEnd()

	h := dial(t, w.addr, "") // in the middle of the head
	h.write("GET /v1?key=" + w.app.pk.ID + " HTTP/1.1\r\nHost: x\r\n")
	_ = h.conn.CloseWrite()
	for {
		if _, _, err := h.readFor(patience / 2); err != nil {
			break
		}
	}
	watcher.fence()
}

func checkReset(t *testing.T, w *world) {
	watcher := w.watcher(t, "watcher")
	watcher.join("room")
	for i := range 6 {
		id := fmt.Sprintf("gone%d", i)
		c := w.peer(t, id).subscribe("room")
		watcher.expectPresence("room", named(id), nil)
		c.send(`{"type":"publish","channel":"room","data":1}`)
		watcher.expectMessage("room", id, "", "1")
		c.write(text(`{"type":"ping"}`)[:3]) // in the middle of a frame
		c.vanish()
		watcher.expectPresence("room", nil, named(id))
	}
	w.awaitSockets(t, 1)
	// A new connection may get a descriptor of one that is gone: it hears nothing that was meant for that one.
	fresh := w.peer(t, "fresh")
	w.rest(t, "POST", "/v1/channels/room/publish", `{"data":2}`).want(t, 200, "")
	watcher.expectMessage("room", "system", "", "2")
	fresh.fence()
}

func checkEarlyReset(t *testing.T, w *world) {
	head := upgradeHead("/v1?key=" + w.app.pk.ID)
	for i := range 100 {
		c := dial(t, w.addr, "")
		c.write(head[:i*len(head)/99])
		c.vanish()
	}
	w.peer(t, "alice").fence()
	w.awaitSockets(t, 1)
}

// checkEmptyFragments: some are a sender's way, without end they are a flood of frames.
func checkEmptyFragments(t *testing.T, w *world) {
	empty := func(n int) string {
		return masked(ws.NewFrame(ws.OpText, false, nil)) + strings.Repeat(masked(ws.NewFrame(ws.OpContinuation, false, nil)), n) +
			masked(ws.NewFrame(ws.OpContinuation, true, []byte(`{"type":"ping"}`)))
	}
	c := w.peer(t, "alice")
	for range 3 {
		c.write(empty(100))
		c.recv("pong")
	}
	c.writeSome(empty(5000))
	c.expectClose(4011)
}
