package engine_test

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// maxServerFrame is the cap on any server frame, bytes.
const maxServerFrame = 1_000_000

func TestContractHugeRoster(t *testing.T) {
	runChecks(t, withHeldPresence, []check{
		{"snapshot and deltas in parts", nil, checkHugeRoster},
	})
}

// checkHugeRoster fills a channel with 300 peers of 4 KB metadata each: 1.2 MB of roster, told as deltas to who was
// there before and as a snapshot to who comes after.
func checkHugeRoster(t *testing.T, w *world) {
	const peers = 300
	watcher := w.watcher(t, "watcher").subscribe("room")
	watcher.untilPong()
	meta := strings.Repeat("m", 4050)
	some := w.crowd(t, "p", peers, "room", claims{"x": meta})[0]
	expectParts(t, "deltas", watcher, peers)

	late := w.watcher(t, "late").subscribe("room")
	expectParts(t, "snapshot", late, peers+1)

	// A channel below the cap is told in one frame, however near.
	w.crowd(t, "q", 200, "near", claims{"x": meta})
	near := w.watcher(t, "near").subscribe("near")
	if frames := near.untilPong(); len(frames) != 1 || len(frames[0].peers("joined")) != 200 {
		t.Errorf("roster below the cap: got %d frames, want 1", len(frames))
	}
	some.fence()
}

// expectParts pings and reads presence frames of "room" until the pong: at least two, none over the cap, together
// exactly n peers.
func expectParts(t *testing.T, what string, c *client, n int) {
	t.Helper()
	c.send(`{"type":"ping"}`)
	view := rosterView{}
	for parts := 0; ; parts++ {
		op, payload, err := c.read()
		if err != nil || op != ws.OpText {
			t.Fatalf("%s: got %v, %v", what, op, err)
		}
		if len(payload) >= maxServerFrame {
			t.Errorf("%s: a frame of %d bytes, want less than %d", what, len(payload), maxServerFrame)
		}
		f, err := decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		if f.text("type") == "pong" {
			if parts < 2 || len(view) != n {
				t.Errorf("%s: got %d peers in %d parts, want %d in two or more", what, len(view), parts, n)
			}
			return
		}
		if f.text("type") != "presence" || f.peers("left") == nil {
			t.Fatalf("%s: got %s", what, f)
		}
		if err := view.apply(f); err != nil {
			t.Error(err)
		}
	}
}
