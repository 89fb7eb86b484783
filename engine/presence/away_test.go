package presence

import (
	"slices"
	"testing"
)

// TestSocketsOfOtherNodes has peers with sockets here and on two other nodes.
func TestSocketsOfOtherNodes(t *testing.T) {
	one, two := AwayRef(1), AwayRef(2)
	h := new(Home)
	h.Join("here", 10, "h")
	h.Join("away", one, "a")
	h.Join("both", 11, "old")
	h.Join("both", one, "b1")
	h.Join("both", two, "b2")
	for _, tc := range []struct {
		peer, here string
		is, only   bool
		one        string
		has        bool
	}{
		{"here", "h", true, true, "", false},
		{"away", "", false, false, "a", true},
		{"both", "old", true, false, "b1", true},
		{"nobody", "", false, false, "", false},
	} {
		here, is := h.Here(tc.peer)
		said, has := h.Of(tc.peer, one)
		if here != tc.here || is != tc.is || h.Only(tc.peer) != tc.only || said != tc.one || has != tc.has {
			t.Errorf("%s: here %q %v, only %v, on the one %q %v; want %+v", tc.peer, here, is, h.Only(tc.peer), said, has, tc)
		}
	}
	if got, want := h.With(one), []string{"away", "both"}; !slices.Equal(got, want) {
		t.Errorf("on the one: got %v, want %v", got, want)
	}
	var here []string
	h.EachHere(func(id, meta string) { here = append(here, id+" "+meta) })
	if want := []string{"here h", "both old"}; !slices.Equal(here, want) {
		t.Errorf("here: got %q, want %q", here, want)
	}
	if c := h.Leave("both", two); c.Kind != Update || c.Meta != "b1" {
		t.Errorf("the newest leaves: got %+v, want the metadata of the one before", c)
	}
}
