package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestDelivery follows events to their receiver: what they are, by whom wanted,
// how signed.
func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		f := run(t, file(
			hookTo(testURL),
			hookTo("https://rooms.test/", `events: [channel.occupied, channel.joined, peer.online]`, `channelPatterns: ["room-*"]`),
		), Options{Client: r, Agent: "signalbox/v1"})
		f.app.Online("ann")
		f.app.Joined("room-1", "ann", `{"n":1}`, 1)
		f.app.Joined("hall", "ann", "", 1)
		f.app.Left("room-1", "ann", 0)
		f.app.Left("hall", "ann", 0)
		f.app.Offline("ann")
		time.Sleep(time.Second)
		synctest.Wait()
		got := map[string]*request{}
		for _, q := range r.all() {
			got[q.url] = q
		}
		if len(got) != 2 || len(r.all()) != 2 {
			t.Fatalf("got %d requests to %d webhooks, want one each to 2", len(r.all()), len(got))
		}
		expect(t, "all", got[testURL].describe(), []string{
			"peer.online ann", "channel.occupied room-1", "channel.joined room-1 ann", "channel.occupied hall", "channel.joined hall ann",
			"channel.left room-1 ann", "channel.vacated room-1", "channel.left hall ann", "channel.vacated hall", "peer.offline ann",
		})
		rooms := got["https://rooms.test/"]
		expect(t, "rooms", rooms.describe(), []string{"peer.online ann", "channel.occupied room-1", "channel.joined room-1 ann"})
		if e := rooms.batch.Events[2]; string(e.Metadata) != `{"n":1}` || e.ID != got[testURL].batch.Events[2].ID || e.Time == 0 {
			t.Errorf("event: got %+v", e)
		}
		h := rooms.header
		stamp, err := strconv.ParseInt(h.Get("Signalbox-Timestamp"), 10, 64)
		if want := signature(testSecret, stamp, rooms.body); err != nil || h.Get("Signalbox-Signature") != want {
			t.Errorf("signature: got %q at %d, want %q", h.Get("Signalbox-Signature"), stamp, want)
		}
		if age := time.Now().Unix() - stamp; age < 0 || age > 1 {
			t.Errorf("timestamp: %d s old", age)
		}
		if h.Get("User-Agent") != "signalbox/v1" || h.Get("Content-Type") != "application/json" {
			t.Errorf("header: got %v", h)
		}
		if s := f.Stats(); s != (Stats{Delivered: 13}) {
			t.Errorf("got %+v, want 13 delivered", s)
		}
	})
}

// TestFailures has the receiver fail in every way before it takes the batch,
// which is the same bytes each time.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		err    error
	}{
		{"unreachable", 0, errDown},
		{"server error", 500, nil},
		{"bad request", 400, nil},
		{"redirect", 302, nil},
		{"redirect that keeps the method", 307, nil},
		{"not modified", 304, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: always(c.status, c.err)}
				f := run(t, file(hookTo(testURL)), Options{Client: r})
				want := f.join("c", 0, 3)
				time.Sleep(time.Hour)
				synctest.Wait()
				// 1, 2, 4 … 256 s, then 5 minutes each, and half of that is random.
				tries := len(r.all())
				if tries < 9+8 || tries > 2*(9+12) {
					t.Errorf("got %d tries within an hour", tries)
				}
				r.set(nil)
				time.Sleep(maxDelay)
				synctest.Wait()
				expect(t, "events", r.events(), want)
				for _, q := range r.all() {
					if q.url != testURL || !bytes.Equal(q.body, r.all()[0].body) {
						t.Errorf("got %s to %s, want %s", q.body, q.url, r.all()[0].body)
					}
				}
				if s := f.Stats(); s != (Stats{Delivered: 3, Retried: int64(tries)}) {
					t.Errorf("got %+v", s)
				}
			})
		})
	}
}

// TestHangingReceiver is given up after its time and tried again; meanwhile
// telling goes on, and so does the other webhook.
func TestHangingReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		releaseC := make(chan struct{})
		r.set(func(nth int, q *request) (int, error) {
			if q.url != testURL {
				return 200, nil
			}
			select {
			case <-releaseC:
				return 200, nil
			case <-q.ctx.Done():
				return 0, q.ctx.Err()
			}
		})
		f := run(t, file(hookTo(testURL), hookTo("http://other.test/")), Options{Client: r})
		var want []string
		for i := range 50 {
			want = append(want, f.join("c", 10*i, 10)...)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		expect(t, "the other webhook", r.events(), want)
		if n := f.Stats().Retried; n < 2 || n > 4 { // 10 s each, and the pauses
			t.Errorf("got %d requests given up in 50 s", n)
		}
		close(releaseC)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := f.Stats(); s.Delivered != 1000 || s.SpooledBytes != 0 {
			t.Errorf("got %+v, want all delivered", s)
		}
	})
}

// TestManyHangingReceivers: only so many requests are under way at a time, and those
// that wait for their turn do not wait for long.
func TestManyHangingReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		var flying, most atomic.Int64
		r.set(func(_ int, q *request) (int, error) {
			defer flying.Add(-1)
			most.Store(max(most.Load(), flying.Add(1)))
			if q.batch.App == testApp {
				return 200, nil
			}
			<-q.ctx.Done()
			return 0, q.ctx.Err()
		})
		text := file(hookTo(testURL))
		const hanging = 3 * maxRequests
		for i := range hanging {
			text += fmt.Sprintf("  - id: app_h%d\n    webhooks: [%s]\n", i, hookTo(fmt.Sprintf("https://h%d.test/", i)))
		}
		f := run(t, text, Options{Client: r})
		for i := range hanging {
			f.App(fmt.Sprintf("app_h%d", i)).Online("p")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := flying.Load(); got != maxRequests {
			t.Errorf("%d requests are under way, want %d", got, maxRequests)
		}
		want := f.join("c", 0, 3)
		time.Sleep((hanging/maxRequests + 1) * requestTimeout)
		synctest.Wait()
		expect(t, "who takes events", r.events(), want)
		if got := most.Load(); got != maxRequests {
			t.Errorf("%d requests were under way at a time, want %d", got, maxRequests)
		}
	})
}

// TestOrder has a receiver that fails at random: what it takes is in order, and
// complete.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.set(func(nth int, q *request) (int, error) {
			switch nth * 7 % 5 {
			case 0:
				return 503, nil
			case 1:
				return 0, errDown
			}
			return 200, nil
		})
		f := run(t, file(hookTo(testURL)), Options{Client: r, Dir: t.TempDir()})
		var want []string
		for i := range 40 {
			want = append(want, f.join(fmt.Sprint("c", i%3), 70*i, 70)...)
			time.Sleep(150 * time.Millisecond)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		expect(t, "events", r.events(), want)
		seen := map[string]bool{}
		for _, q := range r.taken {
			if n := len(q.batch.Events); n > maxBatch || seen[q.batch.ID] {
				t.Errorf("batch %s: %d events, taken before: %v", q.batch.ID, n, seen[q.batch.ID])
			}
			seen[q.batch.ID] = true
		}
	})
}

// TestGone has the receiver refuse one batch for good.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.set(func(nth int, q *request) (int, error) {
			if nth == 1 {
				return http.StatusGone, nil
			}
			return 200, nil
		})
		f := run(t, file(hookTo(testURL)), Options{Client: r})
		f.join("c", 0, 3)
		time.Sleep(time.Second)
		want := f.join("c", 3, 2)
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "events", r.events(), want)
		if s := f.Stats(); s != (Stats{Delivered: 2, Dropped: 3}) {
			t.Errorf("got %+v", s)
		}
	})
}

// TestReload changes webhooks while their receiver is down.
func TestReload(t *testing.T) {
	const other = "https://other.test/"
	for _, c := range []struct {
		name          string
		before, after string
		want          map[string]bool // who gets the events that waited
		dropped       int64
	}{
		{"same", file(hookTo(testURL)), file(hookTo(testURL)), map[string]bool{testURL: true}, 0},
		{"another URL", file(hookTo(testURL)), file(hookTo(other)), map[string]bool{other: true}, 0},
		{"one more", file(hookTo(testURL)), file(hookTo(testURL), hookTo(other)), map[string]bool{testURL: true}, 0},
		{"one more before it", file(hookTo(testURL)), file(hookTo(other), hookTo(testURL)), map[string]bool{testURL: true}, 0},
		{"one less", file(hookTo(other), hookTo(testURL)), file(hookTo(testURL)), map[string]bool{testURL: true}, 3},
		{"none", file(hookTo(testURL)), file(), nil, 3},
		{"app gone", file(hookTo(testURL)), "apps: []", nil, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: always(0, errDown)}
				f := run(t, c.before, Options{Client: r, Dir: t.TempDir()})
				want := f.join("c", 0, 3)
				time.Sleep(5 * maxDelay)
				synctest.Wait()
				r.set(nil)
				f.Set(parse(t, c.after))
				time.Sleep(2 * maxDelay)
				synctest.Wait()
				got := map[string]bool{}
				for _, q := range r.taken {
					got[q.url] = true
					expect(t, q.url, q.describe(), want)
				}
				if fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("got requests to %v, want %v", got, c.want)
				}
				if s := f.Stats(); s.Dropped != c.dropped || s.SpooledBytes != 0 {
					t.Errorf("got %+v, want %d dropped", s, c.dropped)
				}
			})
		})
	}
}

// TestReloadEndsPause: who corrects a URL or a secret does not wait for the next try.
func TestReloadEndsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		const corrected = "https://corrected.test/"
		r.set(func(_ int, q *request) (int, error) {
			if q.url == testURL {
				return 0, errDown
			}
			return 200, nil
		})
		f := run(t, file(hookTo(testURL)), Options{Client: r})
		want := f.join("c", 0, 3)
		time.Sleep(10 * maxDelay)
		f.Set(parse(t, file(hookTo(corrected))))
		synctest.Wait()
		expect(t, "at once", r.events(), want)
	})
}

// TestReloadBeginsAnew: another receiver that fails is told of, and tried as soon and
// as often as one that has never failed.
func TestReloadBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: always(0, errDown)}
		f := run(t, file(hookTo(testURL)), Options{Client: r})
		f.join("c", 0, 3)
		time.Sleep(10 * maxDelay)
		before := len(r.all())
		f.Set(parse(t, file(hookTo("https://corrected.test/"))))
		time.Sleep(firstDelay + 2*firstDelay + time.Millisecond)
		if n := len(r.all()) - before; n < 3 {
			t.Errorf("the new receiver was tried %d times, want 3", n)
		}
		f.stop()
		if log := f.log.String(); !strings.Contains(log, "host=corrected.test") {
			t.Errorf("got the log %s", log)
		}
	})
}

// TestBound fills the spool beyond its bound: the oldest batches go, but for the
// one in flight, and the receiver is told how many events are missing.
func TestBound(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: always(0, errDown)}
				const bound = 20_000
				f := run(t, file(hookTo(testURL)), Options{Client: r, Dir: dir, MaxSpool: bound})
				var want []string
				for i := range 100 {
					want = append(want, f.join("c", 10*i, 10)...)
					time.Sleep(time.Second)
					if n := f.Stats().SpooledBytes; n > bound {
						t.Fatalf("%d bytes wait, %d may", n, bound)
					}
				}
				dropped := f.Stats().Dropped
				if dropped == 0 || f.Stats().Age < 99*time.Second {
					t.Errorf("got %+v", f.Stats())
				}
				r.set(nil)
				time.Sleep(maxDelay)
				synctest.Wait()
				first := slices.Clone(want[:10])
				expect(t, "events", r.events(), append(first, want[10+dropped:]...))
				var told int64
				for _, q := range r.taken {
					told += q.batch.Dropped
				}
				f.join("c", 0, 1)
				time.Sleep(time.Second)
				synctest.Wait()
				told += r.taken[len(r.taken)-1].batch.Dropped
				if told != dropped {
					t.Errorf("told of %d events dropped, want %d", told, dropped)
				}
			})
		})
	}
}

// TestBoundIsShared: who takes its events loses none to another's outage.
func TestBoundIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.set(func(_ int, q *request) (int, error) {
			if q.url == testURL {
				return 0, errDown
			}
			return 200, nil
		})
		f := run(t, file(hookTo(testURL), hookTo("https://other.test/")), Options{Client: r, MaxSpool: 20_000})
		var want []string
		for i := range 100 {
			want = append(want, f.join("c", 10*i, 10)...)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		expect(t, "the other's events", r.events(), want)
	})
}

// TestInboxBound has more come than the writer can take over.
func TestInboxBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		h, err := Open(Options{Client: r, MaxSpool: 100 << 20, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		h.Set(parse(t, file(hookTo(testURL))+"  - {id: app_quiet, webhooks: ["+hookTo("https://quiet.test/")+"]}\n"))
		app := h.App(testApp)
		meta := `{"m":"` + string(bytes.Repeat([]byte("m"), 4000)) + `"}`
		const told = 10_000
		for range told {
			app.Joined("c", "p", meta, 2)
		}
		kept := len(h.inbox.events)
		if kept == told || h.inbox.size > maxInbox {
			t.Errorf("kept %d events of %d bytes", kept, h.inbox.size)
		}
		h.flush()
		if got := h.dropped.Load(); got != int64(told-kept) {
			t.Errorf("dropped: got %d, want %d", got, told-kept)
		}
		// Another app's drops count, too, though nothing of it got in.
		for range told {
			app.Joined("c", "p", meta, 2)
		}
		before := h.dropped.Load()
		h.App("app_quiet").Joined("c", "p", meta, 2)
		h.flush()
		if got := h.dropped.Load() - before; got != int64(told-kept+1) {
			t.Errorf("dropped the second time: got %d, want %d", got, told-kept+1)
		}
		if got := h.routes["app_quiet"][0].dropped; got != 1 {
			t.Errorf("to be told to the quiet app: got %d, want 1", got)
		}
	})
}

// TestEnd delivers at the end what the receiver takes, and does not wait for one
// that takes nothing.
func TestEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(int, *request) (int, error)
		taken  int
	}{
		{"taken", nil, 250},
		{"refused", always(503, nil), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: c.answer}
				f := run(t, file(hookTo(testURL)), Options{Client: r})
				f.join("c", 0, 250)
				before := time.Now()
				f.stop()
				if got := len(r.events()); got != c.taken {
					t.Errorf("got %d events, want %d", got, c.taken)
				}
				if d := time.Since(before); d > lastPatience {
					t.Errorf("the end took %s", d)
				}
			})
		})
	}
}

// TestErrorsArePlain: what the client library says of a URL is left out.
func TestErrorsArePlain(t *testing.T) {
	c := newClient(&receiver{answer: always(0, errDown)})
	h := &Hooks{client: c}
	_, err := h.post(t.Context(), parse(t, file(hookTo(testURL))).App(testApp).Webhooks[0], []byte("{}"))
	if !errors.Is(err, errDown) || err.Error() != errDown.Error() {
		t.Errorf("got %v, want %v", err, errDown)
	}
}

// TestAnswersAreNotQuoted: an answer, which may repeat the secret path that was asked
// for, is no part of the error that is logged.
func TestAnswersAreNotQuoted(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		want         error
	}{
		{"redirect to no address", "HTTP/1.1 302 Found\r\nLocation: /hush/%zz\r\nContent-Length: 0\r\n\r\n", errAnswer},
		{"no HTTP", "hush\r\n\r\n", errAnswer},
		{"no status", "HTTP/1.1 hush\r\n\r\n", errAnswer},
		{"no header", "HTTP/1.1 200 OK\r\nhush\r\n\r\n", errAnswer},
		{"no length", "HTTP/1.1 200 OK\r\nContent-Length: hush\r\n\r\n", errAnswer},
		{"cut off", "HTTP/1.1 200 OK\r\nX: hush", io.ErrUnexpectedEOF},
		{"none", "", io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // unread bytes would make the end a reset
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, c.answer) // read, or the test fails
				_ = conn.Close()
			}))
			defer server.Close()
			h := &Hooks{client: newClient(nil)}
			h.client.Timeout = patience
			defer h.client.CloseIdleConnections()
			_, err := h.post(t.Context(), parse(t, file(hookTo(server.URL+"/hush/path"))).App(testApp).Webhooks[0], []byte("{}"))
			if !errors.Is(err, c.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestUnreachable: why there was no connection is told as the network has it.
func TestUnreachable(t *testing.T) {
	const url = "http://127.0.0.1:1/hush/path" // a service of old, whose port is given to nobody
	h := &Hooks{client: newClient(nil)}
	h.client.Timeout = patience
	_, err := h.post(t.Context(), parse(t, file(hookTo(url))).App(testApp).Webhooks[0], []byte("{}"))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want %v", err, syscall.ECONNREFUSED)
	}
}

// TestUnreadableBatch: a batch that the file has lost says nothing of the webhook,
// which is told of the loss.
func TestUnreadableBatch(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: always(500, nil)}
		f := run(t, file(hookTo(testURL)), Options{Client: r, Dir: dir})
		f.join("c", 0, 1)
		time.Sleep(gatherTime + firstDelay/4) // saved, and tried once
		synctest.Wait()
		f.mu.Lock()
		q := f.routes[testApp][0]
		lost := newKey(q.id, q.batches[0].seq)
		f.mu.Unlock()
		if err := f.disk.write(change{removes: []key{lost}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * firstDelay)
		f.join("c", 1, 1)
		time.Sleep(gatherTime + firstDelay/4)
		synctest.Wait()
		f.stop()
		if told := r.all()[1].batch.Dropped; told != 1 {
			t.Errorf("told of %d events dropped, want 1", told)
		}
		if log := f.log.String(); !strings.Contains(log, "cannot be read and are dropped") || strings.Contains(log, "takes events again") {
			t.Errorf("got the log %s", log)
		}
	})
}

// lateCancel is a context that ends right after it has said that it has not.
type lateCancel struct {
	context.Context
	cancel func()
}

func (c lateCancel) Err() error {
	defer c.cancel()
	return c.Context.Err()
}

// TestDiscardBeforeRead: what a reload takes out of the file while a delivery is about to
// read it is not told to be damaged.
func TestDiscardBeforeRead(t *testing.T) {
	var log bytes.Buffer
	h, err := Open(Options{Client: &receiver{}, Dir: t.TempDir(), MaxSpool: 1 << 20, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	h.Set(parse(t, file(hookTo(testURL))))
	f := &fixture{Hooks: h, t: t, app: h.App(testApp)}
	f.join("c", 0, 3)
	h.flush()
	q := h.routes[testApp][0]
	if !h.await(t.Context(), q) {
		t.Fatal("nothing to deliver")
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = h.attempt(lateCancel{ctx, func() {
		cancel()
		if err := h.disk.write(change{removes: []key{newKey(q.id, q.batches[0].seq)}}); err != nil {
			t.Error(err)
		}
	}}, q)
	if !errors.Is(err, context.Canceled) || log.Len() > 0 {
		t.Errorf("got %v and the log %q, want %v and nothing", err, log.String(), context.Canceled)
	}
}
