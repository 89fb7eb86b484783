package session

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/auth"
)

// secondApp is an app beside that of testApps.
const (
	secondKeyID = "sk_id_00000000000000000000000000000002"
	secondApp   = `
  - id: app_two
    keys:
      - {id: ` + secondKeyID + `, secret: sk_secret_000000000000000000000000000000000000000000000002, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}
`
)

// TestAppsApart has peers of the same names do the same things on the same loops for
// two apps, a little a turn: nobody hears of anything of the other app's.
func TestAppsApart(t *testing.T) {
	keys, err := auth.Parse("apps.yaml", []byte(testApps+secondApp))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { apart(t, keys, rand.New(rand.NewPCG(seed, 7)), 1+int(seed)%2) })
		})
	}
}

func apart(t *testing.T, keys *auth.Set, r *rand.Rand, loops int) {
	limits := testLimits()
	limits.MaxBacklog, limits.MaxBacklogTotal = 1<<20, 0
	c := newCrew(t, loops, limits)
	c.SetKeys(keys)
	c.turns()
	for _, l := range c.loops {
		l.budget = budget{tasks: 2, subs: 1, writes: 2, flush: 300, part: 4000, parked: 1}
	}
	const each = 8 // sockets an app
	wires := make([]*wire, 2*each)
	heard := 0
	for range 3000 {
		i := r.IntN(len(wires))
		app := i % 2
		switch w := wires[i]; {
		case w == nil || w.over:
			w = new(wire)
			id := identifyBy(t, keys, []string{testKeyID, secondKeyID}[app], fmt.Sprint("p", i/4), fmt.Sprintf(`{"app":%d}`, app), all, 86400)
			w.session = c.loops[r.IntN(loops)].Open(w, id, nil)
			wires[i] = w
		case r.IntN(40) == 0:
			w.vanish()
		default:
			channel := []string{"a/1", "a/2", "b", "a/*", "**", "*"}[r.IntN(6)]
			textTo(w, []string{
				`{"type":"subscribe","channel":%[1]q,"includeSenderMetadata":true}`, `{"type":"unsubscribe","channel":%[1]q}`,
				`{"type":"publish","channel":%[1]q,"data":%[2]d}`, `{"type":"publish","channel":%[1]q,"data":%[2]d}`, `{"type":"ping","channel":%[1]q}`,
				`{"type":"send","to":"p%[3]d","channel":%[1]q,"data":%[2]d}`,
			}[r.IntN(6)], channel, app, r.IntN(each/2))
		}
		if l := r.IntN(loops); r.IntN(3) == 0 && c.flags[l].up.Swap(false) {
			c.loops[l].Turn()
		}
		if r.IntN(50) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		heard += checkApp(t, wires[i], app)
	}
	c.pass(time.Second)
	for i, w := range wires {
		heard += checkApp(t, w, i%2)
	}
	if heard < 1000 {
		t.Errorf("%d frames tell of an app, too few to prove anything", heard)
	}
}

// checkApp looks whether what has come is of that app, and returns how many frames tell.
func checkApp(t *testing.T, w *wire, app int) (told int) {
	t.Helper()
	type meta struct{ App *int }
	for _, s := range w.take() {
		var f struct {
			Type         string
			Data         *int
			FromMetadata meta
			Joined       []struct{ Metadata meta }
		}
		if s.op != 1 || json.Unmarshal(s.payload, &f) != nil || f.Type == "welcome" {
			continue
		}
		tells := []*int{f.Data, f.FromMetadata.App}
		for _, p := range f.Joined {
			tells = append(tells, p.Metadata.App)
		}
		for _, got := range tells {
			if got != nil && *got != app {
				t.Fatalf("app %d hears of app %d: %s", app, *got, s.payload)
			} else if got != nil {
				told++
			}
		}
	}
	return told
}
