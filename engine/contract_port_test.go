package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestContractPort is about what is no upgrade on the public port: HTTP as net/http does it, and the way back.
func TestContractPort(t *testing.T) {
	runChecks(t, nil, []check{
		{"keep-alive", nil, checkKeepAlive},
		{"pipelining", nil, checkPipelining},
		{"head in pieces", nil, checkTornHTTP},
		{"upgrade on a kept-alive socket", nil, checkLateUpgrade},
		{"upgrade refused on a kept-alive socket", nil, checkLateRefusal},
		{"transfer encoding ends the connection", nil, checkTransferEncoding},
		{"no HTTP at all", nil, checkNoHTTP},
	})
}

// httpRequest returns a request with the app's credential; it has a body unless body is empty.
func (w *world) httpRequest(method, path, body string) string {
	head := method + " " + path + " HTTP/1.1\r\nHost: signalbox.test\r\nAuthorization: Bearer " + w.app.sk.ID + ":" + w.app.sk.Secret + "\r\n"
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return head + "\r\n" + body
}

func checkKeepAlive(t *testing.T, w *world) {
	reader := w.peer(t, "reader").subscribe("room")
	c := dial(t, w.addr, "")
	for i := range 5 {
		c.write(w.httpRequest("POST", "/v1/channels/room/publish", fmt.Sprintf(`{"data":%d}`, i)))
		c.answer().want(t, http.StatusOK, "")
		reader.expectMessage("room", "system", "", fmt.Sprint(i))
		c.write(w.httpRequest("GET", "/v1/nothing", ""))
		c.answer().want(t, http.StatusNotFound, "not_found")
	}
}

func checkPipelining(t *testing.T, w *world) {
	reader := w.peer(t, "reader").subscribe("room")
	c := dial(t, w.addr, "")
	var batch strings.Builder
	for i := range 10 {
		batch.WriteString(w.httpRequest("POST", "/v1/channels/room/publish", fmt.Sprintf(`{"data":%d}`, i)))
		batch.WriteString(w.httpRequest("DELETE", fmt.Sprintf("/v1/peers/nobody%d", i), ""))
	}
	c.write(batch.String())
	for i := range 10 {
		if a := c.answer(); a.fields.text("channel") != "room" || a.fields.number("delivered") != 1 {
			t.Fatalf("answer %d: got %d %s", i, a.status, a.body)
		}
		if a := c.answer(); a.fields.text("peerId") != fmt.Sprintf("nobody%d", i) {
			t.Fatalf("answer %d: got %d %s", i, a.status, a.body)
		}
		reader.expectMessage("room", "system", "", fmt.Sprint(i))
	}
}

func checkTornHTTP(t *testing.T, w *world) {
	c := dial(t, w.addr, "")
	for _, b := range []byte(w.httpRequest("POST", "/v1/channels/room/publish", `{"data":[1]}`)) {
		c.write(string([]byte{b}))
	}
	c.answer().want(t, http.StatusOK, "")
	c.write(w.httpRequest("GET", "/v1/usage", ""))
	c.answer().want(t, http.StatusOK, "")
}

func checkLateUpgrade(t *testing.T, w *world) {
	upgrade := upgradeHead("/v1?token=" + w.app.sk.sign(claims{"sub": "late", "exp": in(time.Hour), "permissions": []string{"publish", "subscribe", "send"}}))
	bob := w.peer(t, "bob").subscribe("room")
	frames := text(`{"type":"publish","channel":"room","data":1,"requestId":"a"}`) + text(`{"type":"send","to":"bob","data":2,"requestId":"b"}`)
	for name, segments := range map[string][]string{
		"one after the other":  {w.httpRequest("GET", "/v1/usage", ""), upgrade, frames},
		"frames with the head": {w.httpRequest("GET", "/v1/usage", ""), upgrade + frames},
		"all in one":           {w.httpRequest("GET", "/v1/usage", "") + upgrade + frames},
		"behind a body":        {w.httpRequest("POST", "/v1/channels/other/publish", `{"data":1}`) + upgrade + frames[:5], frames[5:]},
		"half a frame":         {w.httpRequest("GET", "/v1/usage", "") + upgrade + frames[:len(frames)-3], frames[len(frames)-3:]},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, w.addr, "")
			c.write(segments[0])
			c.answer().want(t, http.StatusOK, "")
			for _, s := range segments[1:] {
				c.write(s)
			}
			c.expectSwitch()
			c.welcome = c.recv("welcome")
			c.expectAck("a")
			c.expectAck("b")
			bob.expectMessage("room", "late", "", "1")
			bob.expectDirect("late", "", "2")
			c.subscribe("room").leave() // a session like any other
		})
	}
}

func checkLateRefusal(t *testing.T, w *world) {
	c := dial(t, w.addr, "")
	c.write(w.httpRequest("GET", "/v1/usage", ""))
	c.answer().want(t, http.StatusOK, "")
	c.write(upgradeHead("/v1?token=nonsense"))
	c.answer().want(t, http.StatusUnauthorized, "invalid_token")

	c = dial(t, w.addr, "")
	c.write(w.httpRequest("GET", "/v1/usage", ""))
	c.answer().want(t, http.StatusOK, "")
	c.write(upgradeHead("/v1?key=" + newApp("stranger").pk.ID))
	c.expectSwitch()
	c.expectClose(closeUnauthorized)
}

func checkTransferEncoding(t *testing.T, w *world) {
	reader := w.peer(t, "reader").subscribe("room")
	c := dial(t, w.addr, "")
	head := strings.TrimSuffix(w.httpRequest("POST", "/v1/channels/room/publish", ""), "\r\n")
	chunked := head + "Transfer-Encoding: chunked\r\n\r\n6\r\n{\"data\r\n4\r\n\":1}\r\n0\r\n\r\n"
	c.write(chunked + w.httpRequest("POST", "/v1/channels/room/publish", `{"data":"smuggled"}`))
	resp := c.response()
	closed := resp.Close
	readAnswer(t, resp).want(t, http.StatusOK, "")
	if !closed {
		t.Error("answer to a chunked request: want Connection: close")
	}
	c.expectEnd()
	reader.expectMessage("room", "system", "", "1")
	reader.fence()
}

func checkNoHTTP(t *testing.T, w *world) {
	for _, line := range []string{
		"nonsense\r\n\r\n", "GET\r\n\r\n", "GET /v1\r\n\r\n", "GET /v1 FTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	} {
		c := dial(t, w.addr, "")
		c.write(line)
		if resp := c.response(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: got %s, want 400", line, resp.Status)
		}
	}
}

// TestContractSidecarBounds waits out the 10 s a body may take, and fills the 1 024 connections meanwhile.
func TestContractSidecarBounds(t *testing.T) {
	t.Parallel()
	app := newApp("app_sidecar")
	w := &world{server: startServer(t, 1, nil, app), app: app}
	slow := dial(t, w.addr, "")
	request := w.httpRequest("POST", "/v1/channels/room/publish", `{"data":1}`)
	begun := time.Now()
	slow.write(request[:len(request)-2])
	endedC := make(chan time.Duration, 1)
	go func() {
		_ = slow.conn.SetReadDeadline(begun.Add(10*time.Second + 2*patience))
		_, _ = io.Copy(io.Discard, slow.conn)
		endedC <- time.Since(begun)
	}()

	fillSidecar(t, w)
	w.peer(t, "alice").fence() // sessions are none of the sidecar's connections
	if took := <-endedC; took < 8*time.Second || took >= 10*time.Second+2*patience {
		t.Errorf("a body of which two bytes are missing was given %v, want about 10 s", took)
	}
}

// fillSidecar takes all 1 024 connections, and sees the one that has been idle longest give way to the next.
func fillSidecar(t *testing.T, w *world) {
	t.Helper()
	request := w.httpRequest("GET", "/v1/usage", "")
	ask := func() *client {
		c := dial(t, w.addr, "")
		c.write(request)
		return c
	}
	first := ask()
	first.answer().want(t, http.StatusOK, "")
	kept := make([]*client, 1022)
	for i := range kept {
		kept[i] = ask()
	}
	for i, c := range kept {
		if code := c.answer().status; code != http.StatusOK {
			t.Fatalf("connection %d: got %d, want 200", i+2, code)
		}
	}
	// The slow body may hold the last place or have lost it already.
	for range 2 {
		ask().answer().want(t, http.StatusOK, "")
	}
	first.expectEnd()
	last := kept[len(kept)-1]
	last.write(request)
	last.answer().want(t, http.StatusOK, "")
}
