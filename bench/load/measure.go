package load

import (
	"context"
	"errors"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// Sample is what happened during a measurement.
type Sample struct {
	Wall      time.Duration
	ServerCPU time.Duration // 0 if the server cannot be measured
	BrokerCPU time.Duration // of NATS between a cluster's nodes, 0 if there is none
	// ServerTaken and ClientTaken are for how long others had the cores that the
	// server has, and those that this process has: other processes, interrupts, the
	// hypervisor's other guests.
	ServerTaken, ClientTaken time.Duration
	ClientCPU                time.Duration // of the busiest loop
	Frames                   uint64        // text frames received by all loops
	Publishes                uint64        // messages that every subscriber has got
}

// ServerLoad is how much of one core the server used, in percent.
func (s Sample) ServerLoad() float64 { return 100 * s.ServerCPU.Seconds() / s.Wall.Seconds() }

// ServerTakenLoad is how much of one core others took of the server's cores, in
// percent.
func (s Sample) ServerTakenLoad() float64 { return 100 * s.ServerTaken.Seconds() / s.Wall.Seconds() }

// ClientTakenLoad is the same of the client's cores.
func (s Sample) ClientTakenLoad() float64 { return 100 * s.ClientTaken.Seconds() / s.Wall.Seconds() }

// ClientLoad is how much of its core the busiest client loop used, in percent.
func (s Sample) ClientLoad() float64 { return 100 * s.ClientCPU.Seconds() / s.Wall.Seconds() }

// Within returns what was measured as that of a part of its time: all that server and
// client did was for what was done then, and others took as much as all the time.
func (s Sample) Within(d time.Duration) Sample {
	part := d.Seconds() / s.Wall.Seconds()
	s.ServerTaken = time.Duration(part * float64(s.ServerTaken))
	s.ClientTaken = time.Duration(part * float64(s.ClientTaken))
	s.Wall = d
	return s
}

// Meter reads the counters that a Sample is the difference of.
type Meter struct {
	Fleet     *client.Fleet
	Process   *target.Process // nil: not measured
	Broker    *target.Process // nil: there is none
	Publishes func() uint64   // nil: not counted
	// ServerCores are those that the server, and the broker, are pinned to, and
	// ClientCores those of this process; none: what others take is not measured.
	ServerCores, ClientCores []int
}

type reading struct {
	at        time.Time
	server    time.Duration
	broker    time.Duration
	others    time.Duration // on the server's cores
	beside    time.Duration // on this process' cores
	loops     []time.Duration
	frames    uint64
	publishes uint64
}

func (m Meter) read() (r reading, err error) {
	if m.Process != nil {
		if r.server, err = m.Process.CPU(); err != nil {
			return r, err
		}
	}
	if m.Broker != nil {
		if r.broker, err = m.Broker.CPU(); err != nil {
			return r, err
		}
	}
	if r.others, err = target.Busy(m.ServerCores); err != nil {
		return r, err
	}
	r.others -= r.server + r.broker
	own, err := target.OwnCPU()
	if err != nil {
		return r, err
	}
	if r.beside, err = target.Busy(m.ClientCores); err != nil {
		return r, err
	}
	r.beside -= own
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
	r.frames, _ = m.Fleet.Traffic()
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
			Wall:      to.at.Sub(from.at),
			ServerCPU: to.server - from.server,
			BrokerCPU: to.broker - from.broker,
			Frames:    to.frames - from.frames,
			Publishes: to.publishes - from.publishes,
		}
		// Ticks are coarse: a core that nobody else has may seem taken for less
		// than no time.
		if m.Process != nil && len(m.ServerCores) > 0 {
			s.ServerTaken = max(0, to.others-from.others)
		}
		if len(m.ClientCores) > 0 {
			s.ClientTaken = max(0, to.beside-from.beside)
		}
		for i := range to.loops {
			s.ClientCPU = max(s.ClientCPU, to.loops[i]-from.loops[i])
		}
		return s, nil
	}, nil
}

// During measures for d, and, if Publishes are counted, on until there is one: what a
// busy machine kept from running has shown nothing yet. It waits for that as long as
// for the last deliveries of a phase. Once ctx is done it returns ctx's error too.
func (m Meter) During(ctx context.Context, d time.Duration) (Sample, error) {
	end, err := m.Span()
	if err != nil {
		return Sample{}, err
	}
	cut := Sleep(ctx, d)
	s, err := end()
	for range arrivePolls {
		if cut != nil || err != nil || m.Publishes == nil || s.Publishes > 0 && s.Frames > 0 {
			break
		}
		cut = Sleep(ctx, arrivePoll)
		s, err = end()
	}
	return s, errors.Join(cut, err)
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
