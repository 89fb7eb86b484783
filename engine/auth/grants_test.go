package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestGrantsAreSharedByEqualClaims(t *testing.T) {
	set := testSet(t)
	grant := func(kid, more string) *Grant {
		t.Helper()
		id, err := set.VerifyToken(forge(header(kid), claimsWith(more), secretOf[kid]), testNow)
		if err != nil {
			t.Fatal(err)
		}
		return id.Grant
	}
	first := grant(skID, `,"channels":["room-1"],"permissions":["send"]`)
	for _, c := range []struct {
		name string
		got  *Grant
		want bool
	}{
		{"equal claims", grant(skID, `,"channels":["room-1"],"permissions":["send"]`), true},
		{"equal claims through the library", grant(skID, `,"channels":["room-1"],"\u0070ermissions":["send"]`), true},
		{"permissions that mean the same", grant(skID, `,"permissions":["fly","send","send"],"channels":["room-1"]`), true},
		{"other permissions", grant(skID, `,"channels":["room-1"],"permissions":["publish"]`), false},
		{"other channels", grant(skID, `,"channels":["room-2"],"permissions":["send"]`), false},
		{"another key", grant(narrowID, `,"channels":["room-1"],"permissions":["send"]`), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.got == first; got != c.want {
				t.Errorf("shared: got %v, want %v", got, c.want)
			}
		})
	}
}

func TestGrantCacheIsBounded(t *testing.T) {
	k := keyWith([]string{"**"}, AllActions)
	claim := func(name string) *tokenClaims {
		return &tokenClaims{permissions: AllActions, channels: []byte(`["` + name + `"]`)}
	}
	for i := range 4 * maxCachedGrants {
		name := fmt.Sprint("room-", i)
		if g := k.grant(claim(name)); !g.Channel(name) || g.Channel("room") {
			t.Fatalf("%s: got a grant for %q", name, g.Patterns())
		}
	}
	if got := len(k.claimed.byClaim); got != maxCachedGrants {
		t.Errorf("got %d grants remembered, want %d", got, maxCachedGrants)
	}
	long := &tokenClaims{permissions: AllActions, channels: []byte(`["a",` + strings.Repeat(" ", maxCachedClaim) + `"b"]`)}
	if first, second := k.grant(long), k.grant(long); first == second {
		t.Error("a claim over the cap is remembered")
	}
}

// TestGrantCacheInParallel is for the race detector, and wants one grant a claim as long as all of them fit.
func TestGrantCacheInParallel(t *testing.T) {
	k := keyWith([]string{"**"}, AllActions)
	const claims = maxCachedGrants / 2
	var got [4][claims]*Grant
	var wait sync.WaitGroup
	for worker := range got {
		wait.Go(func() {
			for i := range claims {
				c := tokenClaims{permissions: AllActions, channels: fmt.Appendf(nil, `["room-%d"]`, i)}
				got[worker][i] = k.grant(&c)
			}
		})
	}
	wait.Wait()
	for worker := range got {
		if got[worker] != got[0] {
			t.Fatalf("worker %d got other grants than the first", worker)
		}
	}
}
