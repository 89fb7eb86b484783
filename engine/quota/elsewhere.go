package quota

// SetElsewhere takes over how many connections another node has open, for each
// app named; for other apps what it told before stays. Apps that are not known
// here are left out, and counts that cannot be. The node's counts stand until
// Forget.
func (l *Ledger) SetElsewhere(node uint64, open map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := l.elsewhere[node]
	if counts == nil {
		counts = make(map[string]int64)
		l.elsewhere[node] = counts
	}
	for app, n := range open {
		a := l.apps[app]
		if a == nil || n < 0 || n > maxCount {
			continue
		}
		a.addElsewhere(n - counts[app])
		if counts[app] = n; n == 0 {
			delete(counts, app)
		}
	}
}

// Forget ends what another node has told of open connections.
func (l *Ledger) Forget(node uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for app, n := range l.elsewhere[node] {
		l.apps[app].addElsewhere(-n)
	}
	delete(l.elsewhere, node)
}

// addElsewhere adds to the connections that the app has on other nodes.
func (a *App) addElsewhere(n int64) {
	a.elsewhere.Add(n)
	a.period(a.ledger.clock()).raisePeak(a.concurrent())
}

// concurrent returns the app's open connections on all nodes.
func (a *App) concurrent() int64 { return a.connections.Load() + a.elsewhere.Load() }
