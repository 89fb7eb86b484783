package clustertest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// acked is the answer to an utterance that is no error.
const acked = "acked"

// utterance is a numbered message of a talker: the data of a frame.
type utterance struct {
	By      string `json:"by"`
	Number  int    `json:"number"`
	Member  bool   `json:"member"`  // the talker is in the channel's roster
	Leaving bool   `json:"leaving"` // and is about to leave it
}

const (
	// talkEvery is the time between a talker's utterances, talkMost their number.
	talkEvery = 4 * time.Millisecond
	talkMost  = 100_000
)

// talker publishes utterances to channels in turn until it is stopped. Listeners
// of all of them hear its numbers grow.
type talker struct {
	*client
	channels []string
	stopC    chan struct{}
	wg       sync.WaitGroup

	talk sync.Mutex
	at   []time.Time // when each was said; Guarded by talk.
}

// talks has a client begin to talk. It is named by its peer and its node. If it is a
// member of the channels, it must have subscribed to them.
func (c *client) talks(member bool, channels ...string) *talker {
	s := &talker{client: c, channels: channels, stopC: make(chan struct{})}
	s.wg.Go(func() { s.run(member) })
	c.t.Cleanup(s.halt)
	return s
}

func (s *talker) name() string { return s.peer + "@" + s.node.name }

func (s *talker) run(member bool) {
	t := time.NewTicker(talkEvery)
	defer t.Stop()
	for i := range talkMost {
		select {
		case <-s.stopC:
			return
		case <-t.C:
		}
		s.talk.Lock()
		s.at = append(s.at, now())
		s.talk.Unlock()
		err := s.say(fmt.Sprintf(`{"type":"publish","channel":%q,"requestId":"u%d","data":{"by":%q,"number":%d,"member":%t}}`,
			s.channels[i%len(s.channels)], i+1, s.name(), i+1, member))
		if err != nil {
			return // the reader knows why
		}
	}
}

// halt ends the talk.
func (s *talker) halt() {
	select {
	case <-s.stopC:
	default:
		close(s.stopC)
	}
	s.wg.Wait()
}

// said is the number of utterances so far.
func (s *talker) said() int {
	s.talk.Lock()
	defer s.talk.Unlock()
	return len(s.at)
}

// more waits until the talker has said so many more.
func (s *talker) more(count int) {
	s.t.Helper()
	want := s.said() + count
	waitFor(s.t, patience, fmt.Sprintf("%s says %d", s.name(), want), func() bool { return s.said() >= want })
}

// answered waits until the answer to one of the utterances from number on is this,
// and returns the number.
func (s *talker) answered(within time.Duration, from int, answer string) (number int) {
	s.t.Helper()
	err := s.until(within, func() bool {
		for i := from; i <= s.said(); i++ {
			if s.answers[fmt.Sprint("u", i)] == answer {
				number = i
				return true
			}
		}
		return false
	})
	if err != nil {
		s.t.Fatalf("%s: no utterance from %d on is answered %q: %v", s.name(), from, answer, err)
	}
	return number
}

// finish ends the talk and waits until every utterance is answered.
func (s *talker) finish() {
	s.t.Helper()
	s.halt()
	err := s.until(patience, func() bool { return len(s.answers) >= s.said() })
	if err != nil {
		s.t.Fatalf("%s: of %d utterances %d are answered: %v", s.name(), s.said(), len(s.answers), err)
	}
}

// count is how many utterances have come to which end.
type count struct{ delivered, refused, lost, unanswered int }

func (c count) String() string {
	return fmt.Sprintf("%d delivered, %d refused, %d lost, %d unanswered", c.delivered, c.refused, c.lost, c.unanswered)
}

// account asks what became of the talker's utterances at the listeners: they came in
// order and once, and what was acked came unless it was said within one of the spans
// in which things may be lost.
func (s *talker) account(total *count, mayLose []span, listeners ...*client) {
	s.t.Helper()
	at, answers := s.record()
	for _, l := range listeners {
		heard := l.heardOf(s)
		if !slices.IsSorted(heard) || len(slices.Compact(slices.Clone(heard))) != len(heard) {
			s.t.Errorf("%s on %s heard %s out of order or twice: %s", l.peer, l.node.name, s.name(), disorder(heard))
		}
		for i, when := range at {
			number := i + 1
			_, came := slices.BinarySearch(heard, number)
			switch answer := answers[fmt.Sprint("u", number)]; {
			case came:
				total.delivered++
			case when.Before(l.since):
			case answer == "":
				total.unanswered++
			case answer != acked:
				total.refused++
			case slices.ContainsFunc(mayLose, func(w span) bool { return w.holds(when) }):
				total.lost++
			default:
				s.t.Errorf("%s on %s did not hear %s's %d of %d, acked; it heard %d", l.peer, l.node.name, s.name(), number, len(at), len(heard))
				return
			}
		}
	}
}

// latest is how long after they were said the talker's utterances came to a client, at
// most, of those said since.
func (s *talker) latest(c *client, since time.Time) (most time.Duration) {
	at, _ := s.record()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, number := range c.heard[s.name()] {
		if said := at[number-1]; said.After(since) {
			most = max(most, c.heardAt[s.name()][i].Sub(said))
		}
	}
	return most
}

// record is when the utterances were said and what they were answered.
func (s *talker) record() ([]time.Time, map[string]string) {
	s.talk.Lock()
	defer s.talk.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := make(map[string]string, len(s.answers))
	for id, answer := range s.answers {
		answers[id] = answer
	}
	return slices.Clone(s.at), answers
}

// disorder is the first place where numbers do not grow, with its surroundings.
func disorder(numbers []int) string {
	for i := 1; i < len(numbers); i++ {
		if numbers[i] <= numbers[i-1] {
			return fmt.Sprint(numbers[max(0, i-3):min(len(numbers), i+3)])
		}
	}
	return ""
}

// heardOf are the numbers of a talker's utterances that the client heard.
func (c *client) heardOf(s *talker) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.heard[s.name()])
}

// hears waits until the client has heard the talker's utterance of this number or a
// later one.
func (c *client) hears(s *talker, number int) {
	c.t.Helper()
	err := c.until(patience, func() bool {
		heard := c.heard[s.name()]
		return len(heard) > 0 && heard[len(heard)-1] >= number
	})
	if err != nil {
		heard := c.heardOf(s)
		c.t.Fatalf("%s on %s does not hear %s's %d, only %d up to %v: %v", c.peer, c.node.name, s.name(), number,
			len(heard), heard[max(0, len(heard)-1):], err)
	}
}

// finishAll ends the talks and waits until the listeners have heard the last words,
// which must have been acked.
func finishAll(t testing.TB, talkers []*talker, listeners ...*client) {
	t.Helper()
	for _, s := range talkers {
		s.finish()
		if got := s.answers[fmt.Sprint("u", s.said())]; got != acked {
			t.Fatalf("%s: the last utterance is answered %q, want an ack", s.name(), got)
		}
	}
	for _, s := range talkers {
		for _, l := range listeners {
			if l != s.client {
				l.hears(s, s.said())
			}
		}
	}
}

// span is a time in which what is said may be lost.
type span struct{ from, to time.Time }

// outage is a span for what is said on one node and heard on another; nil is any.
type outage struct {
	from, to *node
	span
}

// between are the spans for these two nodes.
func between(from, to *node, outages []outage) (spans []span) {
	for _, o := range outages {
		if (o.from == nil || o.from == from) && (o.to == nil || o.to == to) {
			spans = append(spans, o.span)
		}
	}
	return spans
}

func (s span) holds(at time.Time) bool { return !at.Before(s.from) && !at.After(s.to) }
