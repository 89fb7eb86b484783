package load

import (
	"context"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// Sample is what happened during a measurement.
type Sample struct {
	Wall      time.Duration
	ServerCPU time.Duration // 0 if the server cannot be measured
	BrokerCPU time.Duration // of NATS between a cluster's nodes, 0 if there is none
	// ServerWait is how long the server's threads were ready to run while
	// something else had their core.
	ServerWait time.Duration
	ClientCPU  time.Duration // of the busiest loop
	Frames     uint64        // text frames received by all loops
	Bytes      uint64
	Publishes  uint64 // messages that every subscriber has got
}

// ServerLoad is the share of one core that the server used.
func (s Sample) ServerLoad() float64 { return s.ServerCPU.Seconds() / s.Wall.Seconds() }

// ServerWaited is the share of the time for which the server, or some thread of
// it, waited for its core.
func (s Sample) ServerWaited() float64 { return s.ServerWait.Seconds() / s.Wall.Seconds() }

// ClientLoad is the share of its core that the busiest client loop used.
func (s Sample) ClientLoad() float64 { return s.ClientCPU.Seconds() / s.Wall.Seconds() }

// Meter reads the counters that a Sample is the difference of.
type Meter struct {
	Fleet     *client.Fleet
	Process   *target.Process // nil: not measured
	Broker    *target.Process // nil: there is none
	Publishes func() uint64   // nil: not counted
}

type reading struct {
	at        time.Time
	server    time.Duration
	broker    time.Duration
	waited    time.Duration
	loops     []time.Duration
	frames    uint64
	bytes     uint64
	publishes uint64
}

func (m Meter) read() (r reading, err error) {
	if m.Process != nil {
		if r.server, err = m.Process.CPU(); err != nil {
			return r, err
		}
		if r.waited, err = m.Process.Waited(); err != nil {
			return r, err
		}
	}
	if m.Broker != nil {
		if r.broker, err = m.Broker.CPU(); err != nil {
			return r, err
		}
	}
	for i := range m.Fleet.Size() {
		cpu, err := target.ThreadCPU(m.Fleet.Loop(i).Thread())
		if err != nil {
			return r, err
		}
		r.loops = append(r.loops, cpu)
	}
	if m.Publishes != nil {
		r.publishes = m.Publishes()
	}
	r.frames, r.bytes = m.Fleet.Traffic()
	r.at = time.Now()
	return r, nil
}

// Span measures from now until the returned function is called.
func (m Meter) Span() (end func() (Sample, error), err error) {
	from, err := m.read()
	if err != nil {
		return nil, err
	}
	return func() (Sample, error) {
		to, err := m.read()
		if err != nil {
			return Sample{}, err
		}
		s := Sample{
			Wall:       to.at.Sub(from.at),
			ServerCPU:  to.server - from.server,
			BrokerCPU:  to.broker - from.broker,
			ServerWait: to.waited - from.waited,
			Frames:     to.frames - from.frames,
			Bytes:      to.bytes - from.bytes,
			Publishes:  to.publishes - from.publishes,
		}
		for i := range to.loops {
			s.ClientCPU = max(s.ClientCPU, to.loops[i]-from.loops[i])
		}
		return s, nil
	}, nil
}

// During measures for d, or until ctx is done.
func (m Meter) During(ctx context.Context, d time.Duration) (Sample, error) {
	end, err := m.Span()
	if err != nil {
		return Sample{}, err
	}
	if err := Sleep(ctx, d); err != nil {
		return Sample{}, err
	}
	return end()
}

// Sleep waits for d; it returns ctx's error if that is done first.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
