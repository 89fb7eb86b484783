package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestRepeatedSubscribe: the snapshot of a repeated subscribe comes behind what was
// published before it, for it may tell that the sender has left since.
func TestRepeatedSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, testLimits())
		ann, bob := c.open(t, 0, "ann", ""), c.open(t, 0, "bob", "")
		for _, w := range []*wire{ann, bob} {
			w.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
		}
		c.pass(time.Second)
		ann.take()
		bob.publishIn("c")
		bob.feed(clientFrame(1, []byte(`{"type":"unsubscribe","channel":"c"}`)))
		ann.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c","requestId":"r"}`)))
		c.pass(time.Second)
		var got []string
		for _, s := range ann.take() {
			got = append(got, string(s.payload))
		}
		want := []string{
			`{"type":"message","channel":"c","from":"bob","data":1}`,
			`{"type":"ack","requestId":"r"}`,
			`{"type":"presence","channel":"c","joined":[],"left":[]}`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
