package quota

// SetElsewhere takes over how many connections another node has open, of each app
// named; of other apps, what it told before stays. The node's counts stand until
// Forget. It returns how many it refused: of an app that is not known here, or a
// count that cannot be.
func (l *Ledger) SetElsewhere(node uint64, open []Sockets) (refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := l.elsewhere[node]
	if counts == nil {
		counts = make(map[string]int64)
		l.elsewhere[node] = counts
	}
	for _, o := range open {
		a, n := l.apps[o.App], o.Open
		if a == nil || n < 0 || n > maxCount {
			refused++
			continue
		}
		a.addElsewhere(n - counts[a.id])
		if counts[a.id] = n; n == 0 {
			delete(counts, a.id)
		}
	}
	return refused
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
