package reactor

import "testing"

// TestSteer passes an address from one reactor to another and that one's on to a
// third, with connects at every step.
func TestSteer(t *testing.T) {
	for name, loops := range map[string][3]int{
		"as many loops": {2, 2, 2},
		"more loops":    {1, 3, 4},
		"fewer loops":   {4, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			old := run(t, Config{Loops: loops[0]})
			for i, n := range loops[1:] {
				old.steered(old.KeepConnects)
				next := run(t, Config{Loops: n, Listen: old.Addr().String(), Behind: loops[i]})
				old.gets(t, "before the successor serves")
				next.steered(next.TakeConnects)
				next.gets(t, "once the successor serves")
				old.steered(old.CedeConnects)
				next.gets(t, "before the old one ends")
				old.stop()
				next.gets(t, "after the old one has ended")
				next.steered(next.ShareConnects)
				next.steered(next.ShareConnects)
				next.gets(t, "when all is as it was")
				old = next
			}
		})
	}
}

func (w *world) steered(change func() error) {
	w.t.Helper()
	if err := change(); err != nil {
		w.t.Fatal(err)
	}
}

// gets opens connections and wants this world to have them all.
func (w *world) gets(t *testing.T, when string) {
	t.Helper()
	for range 40 {
		c := dialTo(t, w.Addr().String())
		c.send(goodHead)
		c.expectSwitch()
		await(t, w.gate.tapC, "a connection went to the other one "+when)
		_ = c.Close()
	}
}
