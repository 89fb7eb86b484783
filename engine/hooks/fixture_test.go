package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signalbox/engine/auth"
)

const (
	testApp    = "app_one"
	testSecret = "whsec_hush_hush_hush_hush_hush_hush"
	testURL    = "https://backend.test/hush/path"
)

// file is the text of an apps file whose one app has these webhooks.
func file(hooks ...string) string {
	return "apps:\n  - id: " + testApp + "\n    webhooks: [" + strings.Join(hooks, ", ") + "]\n"
}

// hookTo is a webhook of the file; more are further fields.
func hookTo(url string, more ...string) string {
	return fmt.Sprintf("{url: %q, secret: %q%s}", url, testSecret, strings.Join(append([]string{""}, more...), ", "))
}

func parse(t testing.TB, text string) *auth.Set {
	t.Helper()
	set, err := auth.Parse("apps.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// patience bounds a request in tests whose time is real: a machine may stop for longer
// than requestTimeout.
const patience = time.Minute

var errDown = errors.New("the receiver is down")

// request is one that came to a receiver.
type request struct {
	ctx    context.Context
	url    string
	header http.Header
	body   []byte
	batch  sentBatch
}

type sentBatch struct {
	ID, App string
	Dropped int64
	Events  []sentEvent
}

type sentEvent struct {
	ID, Type, Channel, PeerID string
	Time                      int64
	Metadata                  json.RawMessage
}

// receiver stands for the network and what is behind it.
type receiver struct {
	mu sync.Mutex
	// Guarded by mu.
	answer   func(nth int, r *request) (int, error) // nil: 200
	requests []*request
	taken    []*request // answered with 2xx
}

// RoundTrip notes the request and answers it.
func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	got := &request{ctx: req.Context(), url: req.URL.String(), header: req.Header, body: body}
	if err := json.Unmarshal(body, &got.batch); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.requests = append(r.requests, got)
	answer, nth := r.answer, len(r.requests)
	r.mu.Unlock()
	status := http.StatusOK
	if answer != nil {
		if status, err = answer(nth, got); err != nil {
			return nil, err
		}
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if status/100 == 2 {
		r.mu.Lock()
		r.taken = append(r.taken, got)
		r.mu.Unlock()
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.test/"}}, Body: io.NopCloser(strings.NewReader("thanks")), Request: req,
	}, nil
}

func (r *receiver) set(answer func(int, *request) (int, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func always(status int, err error) func(int, *request) (int, error) {
	return func(int, *request) (int, error) { return status, err }
}

// all returns the requests that came.
func (r *receiver) all() []*request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// events describes the events of the requests that were taken, one after the
// other.
func (r *receiver) events() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.taken {
		list = append(list, q.describe()...)
	}
	return list
}

// describe returns the events of a request: type, channel and peer.
func (q *request) describe() (list []string) {
	for _, e := range q.batch.Events {
		list = append(list, strings.Join(strings.Fields(e.Type+" "+e.Channel+" "+e.PeerID), " "))
	}
	return list
}

// fixture is Hooks that run, with their receiver.
type fixture struct {
	*Hooks
	t    *testing.T
	app  *App
	log  bytes.Buffer // read it after stop
	stop func()       // ends Run and closes
}

// run opens Hooks with the apps and runs them until the test ends or stop is
// called.
func run(t *testing.T, text string, o Options) *fixture {
	t.Helper()
	f := &fixture{t: t}
	o.Logger = slog.New(slog.NewTextHandler(&f.log, nil))
	if o.MaxSpool == 0 {
		o.MaxSpool = 1 << 20
	}
	var err error
	if f.Hooks, err = Open(o); err != nil {
		t.Fatal(err)
	}
	f.Set(parse(t, text))
	f.app = f.App(testApp)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { f.Run(ctx) })
	f.stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if text := f.log.String(); strings.Contains(text, "hush") {
			t.Errorf("the log tells a secret: %s", text)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// join has so many peers join the channel, numbered from first on, and returns
// the descriptions of the events.
func (f *fixture) join(channel string, first, n int) (want []string) {
	for i := first; i < first+n; i++ {
		peer := fmt.Sprintf("p%d", i)
		f.app.Joined(channel, peer, "", i+2)
		want = append(want, "channel.joined "+channel+" "+peer)
	}
	return want
}

// expect holds lists of descriptions against each other.
func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
